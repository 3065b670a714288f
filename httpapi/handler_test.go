package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

func TestNothingServedThere(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	for _, path := range []string{"/", "/backups", "/backup/", "/backup/a/b", "//", "/./backup", "/backup/../healthz", "/docs/", "/docs/x", "/docs/index.html", "/schemas/Backup.json", "/openapi"} {
		requireProblem(t, b.get(t, path), 404, httpapi.CodeNotFound)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	for _, test := range []struct{ method, path, allow string }{
		{"PUT", "/backup", "GET, HEAD, POST"}, {"POST", "/provider", "GET, HEAD"}, {"POST", "/backup/x", "DELETE, GET, HEAD"},
		{"OPTIONS", "/backup", "GET, HEAD, POST"}, {"GET", "/backup/x/cancel", "POST"}, {"POST", "/healthz", "GET, HEAD"}, {"PUT", "/openapi.json", "GET, HEAD"},
	} {
		a := b.do(t, test.method, test.path, "application/json", strings.NewReader("{}"))
		requireProblem(t, a, 405, httpapi.CodeMethodNotAllowed)
		require.Equal(t, test.allow, a.Header.Get("Allow"))
	}
}

func TestDatabaseUnreachable(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{pool: unreachable(t)})
	for _, a := range []answer{
		b.post(t, `{"userId":"u","siteId":"s"}`), b.get(t, "/backup/019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"),
	} {
		requireProblem(t, a, 503, httpapi.CodeUnavailable)
		require.Equal(t, "5", a.Header.Get("Retry-After"))
		require.NotContains(t, string(a.body), "somebody")
		require.Contains(t, b.log.String(), "requestId="+a.Header.Get("X-Request-Id"))
	}
	require.NotContains(t, b.log.String(), "hunter2")
	// What is wrong with a request is told all the same.
	requireProblem(t, b.post(t, `{"siteId":"s"}`), 422, httpapi.CodeValidationFailed)
	requireProblem(t, b.get(t, "/backup/x"), 404, httpapi.CodeNotFound)
}

func TestInternalErrorTellsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{raw: true}) // no tables
	a := b.post(t, `{"userId":"u","siteId":"s"}`)
	requireProblem(t, a, 500, httpapi.CodeInternal)
	require.NotContains(t, string(a.body), b.schema)
	require.Contains(t, b.log.String(), "does not exist")
	require.Contains(t, b.log.String(), "requestId="+a.Header.Get("X-Request-Id"))
}

func TestPanic(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{options: httpapi.Options{Handlers: map[string]http.Handler{
		"/early": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the reason") }),
		"/late": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("half"))
			panic("the reason")
		}),
	}}})
	a := b.get(t, "/early")
	requireProblem(t, a, 500, httpapi.CodeInternal)
	require.NotContains(t, string(a.body), "reason")
	require.Contains(t, b.log.String(), `panic="the reason"`)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/late", nil)
	require.NoError(t, err)
	_, err = client.Do(req)
	require.Error(t, err, "half an answer must not look whole")
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	for given, taken := range map[string]bool{"abc-1.2_3": true, "": false, "two words": false, strings.Repeat("a", 129): false, "a\"b": false} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/backup/x", nil)
		require.NoError(t, err)
		req.Header.Set("X-Request-Id", given)
		a := send(t, req)
		requireProblem(t, a, 404, httpapi.CodeNotFound)
		require.Equal(t, taken, a.Header.Get("X-Request-Id") == given)
	}
}

func TestHandlersSeeDeadlinesAndFlushing(t *testing.T) {
	t.Parallel()
	flushed := make(chan error, 1)
	b := setup(t, settings{options: httpapi.Options{Handlers: map[string]http.Handler{
		"/ui/": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { flushed <- http.NewResponseController(w).Flush() }),
	}}})
	require.Equal(t, http.StatusOK, b.get(t, "/ui/x").StatusCode)
	require.NoError(t, <-flushed)
	a := b.get(t, "/ui")
	require.Contains(t, []int{301, 307}, a.StatusCode)
	require.Equal(t, "/ui/", a.Header.Get("Location"))
}

func TestHosts(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{options: httpapi.Options{Hosts: []string{"localhost", "backup.example.com"}}})
	for host, allowed := range map[string]bool{
		"localhost": true, "LOCALHOST:3000": true, "127.0.0.1:99": true, "[::1]:3000": true, "backup.example.com": true,
		"evil.example.com": false, "localhost.evil.example.com:3000": false, "192.0.2.1": false,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/backup/x", nil)
		require.NoError(t, err)
		req.Host = host
		if allowed {
			requireProblem(t, send(t, req), 404, httpapi.CodeNotFound)
		} else {
			requireProblem(t, send(t, req), 421, httpapi.CodeWrongHost)
		}
	}
}

// A host's pages can't be shown within another site's, where somebody may be led to
// click on them.
func TestHandlersAreNotFramed(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{options: httpapi.Options{Handlers: map[string]http.Handler{"/ui/": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	})}}})
	a := b.get(t, "/ui/x")
	require.Equal(t, "DENY", a.Header.Get("X-Frame-Options"))
	require.Equal(t, "frame-ancestors 'none'", a.Header.Get("Content-Security-Policy"))
}
