package backuptest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/backuptest"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	backuptest.Run(t, memory{1}, memoryOptions())
}

// A provider that promises as little as it may passes, too.
func TestLeastProvider(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*backup.Export){
		"framing": func(ex *backup.Export) { ex.End = func() (backup.End, error) { return backup.End{Framed: true}, nil } },
		"digest": func(ex *backup.Export) {
			ex.End = func() (backup.End, error) { return backup.End{DigestChecked: true}, nil }
		},
		"sha-256": func(*backup.Export) {},
		"none":    func(ex *backup.Export) { ex.End = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				first := *req
				first.Offset, first.Validator = 0, ""
				ex, err := memory{1}.Export(ctx, &first)
				if err == nil {
					ex.Size, ex.Validator, ex.ContentType = -1, "", ""
					change(ex)
				}
				return ex, err
			})
			backuptest.Run(t, p, &backuptest.Options{AllowUnproven: name == "none"})
		})
	}
}

// An empty export passes where it is declared.
func TestEmpty(t *testing.T) {
	t.Parallel()
	p := providerFunc(func(context.Context, *backup.ExportRequest) (*backup.Export, error) {
		return &backup.Export{Body: http.NoBody}, nil // Size is 0: announced as empty
	})
	backuptest.Run(t, p, &backuptest.Options{AllowEmpty: true, Deterministic: true})
}

// api is a mock API whose sites "stalls", "cut" and "unknown" misbehave, and
// the provider that reads it.
func api(t *testing.T, o export.Options, http2 bool, token string) *httpexport.Provider {
	t.Helper()
	fault := o.Fault
	o.Name, o.Token = "site", "t0ken"
	o.Behavior = func(r *http.Request, _ int) export.Fault {
		f := fault
		switch r.PathValue("siteId") {
		case "stalls":
			f.Stall, f.After = true, 10_000
		case "cut":
			f.Cut, f.After = true, 10_000
		case "unknown":
			f.Status = http.StatusNotFound
		case "busy":
			f.Status, f.RetryAfter = http.StatusTooManyRequests, "7"
		}
		return f
	}
	server := httptest.NewUnstartedServer(export.NewHandler(o))
	if server.EnableHTTP2 = http2; http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	c := &httpexport.Config{
		URL: server.URL + "/export/{userId}/{siteId}",
		Authorize: func(_ context.Context, r *http.Request, _ *backup.ExportRequest) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		},
	}
	if http2 {
		c.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
	}
	p, err := httpexport.New(c)
	require.NoError(t, err)
	t.Cleanup(p.CloseIdleConnections)
	return p
}

func httpOptions() *backuptest.Options {
	return &backuptest.Options{
		Deterministic: true, Resumes: true,
		Other:   &backup.ExportRequest{SiteID: "another"},
		Stalled: &backup.ExportRequest{SiteID: "stalls"},
		Cut:     &backup.ExportRequest{SiteID: "cut"},
		Refusals: []backuptest.Refusal{
			{Name: "unknown site", Request: backup.ExportRequest{SiteID: "unknown"}, Class: backup.ClassPermanent},
			{Name: "busy", Request: backup.ExportRequest{SiteID: "busy"}, Class: backup.ClassRetryAfter},
		},
		Secrets: []string{"t0ken"},
	}
}

func TestHTTPExport(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  string
		change func(*backuptest.Options)
	}{
		"length":         {"", nil},
		"chunked":        {"framing=chunked", nil},
		"digest":         {"digest=header", nil},
		"digest trailer": {"framing=chunked,digest=trailer", nil},
		"no ranges":      {"norange", func(o *backuptest.Options) { o.Resumes = false }},
		"no validator":   {"etag=none", func(o *backuptest.Options) { o.Resumes = false }},
		"changing":       {"changing", func(o *backuptest.Options) { o.Resumes, o.Deterministic = false, false }},
		"unframed":       {"framing=close", func(o *backuptest.Options) { o.AllowUnproven = true }},
	} {
		for _, http2 := range []bool{false, true} {
			if http2 && name == "unframed" {
				continue // HTTP/2 has no such thing
			}
			t.Run(name+map[bool]string{true: " HTTP/2"}[http2], func(t *testing.T) {
				t.Parallel()
				f, err := export.ParseFault(test.fault)
				require.NoError(t, err)
				o := httpOptions()
				if test.change != nil {
					test.change(o)
				}
				backuptest.Run(t, api(t, export.Options{Size: 200_000, Fault: f}, http2, "t0ken"), o)
			})
		}
	}
}

// A wrong credential is refused, and isn't told to anybody.
func TestHTTPExportRefusesCredential(t *testing.T) {
	t.Parallel()
	p := api(t, export.Options{Size: 1000}, false, "s3cr3t")
	for _, c := range backuptest.Cases(&backuptest.Options{
		Refusals: []backuptest.Refusal{{Name: "wrong token", Class: backup.ClassPermanent}},
		Secrets:  []string{"s3cr3t", "t0ken"},
	}) {
		err := c.Run(t.Context(), p)
		if c.Name == "Refusals" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "401", c.Name)
		require.NotContains(t, err.Error(), "s3cr3t")
	}
}
