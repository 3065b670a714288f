package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

// signedIn is where a browser finds the server as somebody who has typed name and
// token: pages can't fetch from an address that has them in it.
func signedIn(t *testing.T, server, name, token string) string {
	to, err := url.Parse(server)
	require.NoError(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		if r.Out.Header.Set("Authorization", "Bearer "+token); strings.HasPrefix(r.In.URL.Path, "/riverui/") {
			r.Out.SetBasicAuth(name, token)
		}
	}})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// A browser shows River UI to who may read, without a complaint and without another
// host.
func TestRiverUIInABrowser(t *testing.T) {
	t.Parallel()
	viewer, viewerEntry := newToken(t, "--name", "viewer")
	writer, writerEntry := newToken(t, "--name", "writer", "--scope", "read,write")
	s := setup(t, 1<<10, "api:\n  tokens:\n"+viewerEntry+writerEntry)
	p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	as := signedIn(t, p.ready(), "writer", writer)
	b := startBackup(t, as)
	awaitBackup(t, as, b.ID)

	as = signedIn(t, p.ready(), "viewer", viewer)
	for path, texts := range map[string][]string{
		"/riverui/jobs?state=completed": {"backup_task_site", "backup_task_db", "backup_seal"},
		"/riverui/queues":               {"backup_task_site"},
	} {
		t.Run(path[len("/riverui/"):][:4], func(t *testing.T) {
			page := envtest.Browse(t, as+path)
			require.NotContains(t, page.Log, "CONSOLE", "the console has something to say")
			for _, text := range texts {
				require.Contains(t, page.DOM, text)
			}
		})
	}
	res, err := http.Post(as+"/riverui/api/jobs/cancel", "application/json", strings.NewReader(`{"ids":["1"]}`))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusForbidden, res.StatusCode, "it is read-only without admin")
	require.NotContains(t, p.err.String(), viewer)
}
