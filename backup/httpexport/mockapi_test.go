package httpexport_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

const mockSize = 3 << 20

func newMock(t *testing.T, o export.Options) (*export.Handler, *httpexport.Provider) {
	t.Helper()
	o.Name, o.Size, o.Token = "site", mockSize, "t0ken"
	h := export.NewHandler(o)
	return h, serve(t, h.ServeHTTP, func(c *httpexport.Config) {
		c.ContentType = []string{"application/x-tar"}
		c.Authorize = func(_ context.Context, r *http.Request, _ *backup.ExportRequest) error {
			r.Header.Set("Authorization", "Bearer t0ken")
			return nil
		}
	})
}

// attempts reads an export as the engine does: each attempt goes on where the
// last one ended, or starts over. It returns the export's digest, and how many
// attempts it took.
func attempts(t *testing.T, p *httpexport.Provider, most int) (sum []byte, n int) {
	t.Helper()
	var stored int64
	var validator string
	var h hash.Hash
	for n = 1; n <= most; n++ {
		e, err := p.Export(t.Context(), resumeAt(stored, validator))
		if err != nil {
			continue
		}
		if e.Offset == 0 {
			stored, h = 0, sha256.New()
		}
		require.Equal(t, stored, e.Offset)
		validator = e.Validator
		read, err := io.Copy(h, e.Body)
		require.NoError(t, e.Body.Close())
		stored += read
		if err == nil {
			require.EqualValues(t, mockSize, stored)
			return h.Sum(nil), n
		}
	}
	require.Fail(t, "too many attempts")
	return nil, n
}

func TestMockAPI(t *testing.T) {
	t.Parallel()
	want := export.SHA256(export.Options{Name: "site", Size: mockSize}, "u1", "s1")
	for fault, tt := range map[string]struct {
		attempts int
		bytes    int64 // that the source sent
	}{
		"":                                 {1, mockSize},
		"status=503,times=2":               {3, mockSize},
		"html,times=1":                     {2, mockSize},
		"cut=1MiB,times=2":                 {3, mockSize},
		"cut=1MiB,etag=none,times=2":       {3, mockSize + 2<<20},
		"framing=chunked,cut=1MiB,times=1": {2, mockSize},
		"digest=trailer":                   {1, mockSize},
		"rate=40MiB":                       {1, mockSize},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			f, err := export.ParseFault(fault)
			require.NoError(t, err)
			h, p := newMock(t, export.Options{Fault: f})
			sum, n := attempts(t, p, 5)
			require.Equal(t, want[:], sum)
			require.Equal(t, tt.attempts, n)
			require.Equal(t, export.Stats{Requests: int64(tt.attempts), Bytes: tt.bytes}, h.Stats())
		})
	}
}

func TestMockAPIThatChangesInBetween(t *testing.T) {
	t.Parallel()
	_, p := newMock(t, export.Options{Behavior: func(_ *http.Request, n int) export.Fault {
		return export.Fault{Version: uint64(n), Cut: n == 1, After: 1 << 20}
	}})
	want := export.SHA256(export.Options{Name: "site", Size: mockSize, Version: 2}, "u1", "s1")
	sum, n := attempts(t, p, 5)
	require.Equal(t, want[:], sum, "nothing of the first content is in it")
	require.Equal(t, 2, n)
}

func TestMockAPIDigests(t *testing.T) {
	t.Parallel()
	want := export.SHA256(export.Options{Name: "site", Size: mockSize}, "u1", "s1")
	for _, place := range []string{"header", "trailer"} {
		_, p := newMock(t, export.Options{Fault: export.Fault{Digest: place}})
		e, err := p.Export(t.Context(), request())
		require.NoError(t, err)
		_, err = read(t, e)
		require.NoError(t, err)
		end, err := e.End()
		require.NoError(t, err)
		require.Equal(t, backup.End{Framed: place == "trailer", DigestChecked: true, SHA256: want[:]}, end)
	}
}

func ExampleNew() {
	site := export.Options{Name: "site", Size: 8 << 20}
	server := httptest.NewServer(export.NewServeMux(export.NewHandler(site)))
	defer server.Close()

	provider, err := httpexport.New(&httpexport.Config{
		URL:         server.URL + "/site/export/{userId}/{siteId}",
		ContentType: []string{"application/x-tar"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer provider.CloseIdleConnections()
	e, err := provider.Export(context.Background(), &backup.ExportRequest{UserID: "ada", SiteID: "example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Body.Close()
	n, err := io.Copy(io.Discard, e.Body)
	fmt.Println(n == e.Size, err, e.ContentType)
	// Output: true <nil> application/x-tar
}
