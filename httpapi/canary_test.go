package httpapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// canary is in every place where a caller can put a value. Only the path and the
// request id, which a caller chooses for the log, may be logged.
const canary = "c4n4ry"

// canaryRequests are requests with a canary in the query, in headers, in the
// credential and in the body, which end in every way that there is.
func canaryRequests(t testing.TB, url string, tokens map[string]string) []*http.Request {
	t.Helper()
	var all []*http.Request
	add := func(method, path, contentType, body string) {
		for _, credential := range []string{
			"", "Bearer " + canary, "Bearer " + tokens["all"], "Bearer " + tokens["reader"], "Basic " + canary, canary,
		} {
			req, err := http.NewRequestWithContext(t.Context(), method, url+path+"?token="+canary+"&"+canary+"=1", strings.NewReader(body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", contentType)
			req.Header.Set("Authorization", credential)
			for _, name := range []string{"User-Agent", "Referer", "Cookie", "X-Forwarded-For", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "X-" + canary, "Accept-Encoding", "X-Request-Id"} {
				req.Header.Set(name, "session="+canary+"; ("+canary+")")
			}
			all = append(all, req)
		}
	}
	for _, contentType := range []string{"application/json", "text/" + canary} {
		for _, body := range []string{
			`{"userId":"` + canary + `","siteId":"` + canary + `","labels":{"` + canary + `":"` + canary + `"}}`,
			`{"userId":"` + canary + `"}`, `{"userId":"u","siteId":"s","` + canary + `":1}`, `{"userId":"u","siteId":"s","providers":["` + canary + `"]}`,
			canary, `{"userId":"` + canary + `\u0000","siteId":"s"}`, `"` + canary + `"`, strings.Repeat(canary, 20_000), "{\"" + canary + "\":\"\xff\"}",
		} {
			add(http.MethodPost, "/backup", contentType, body)
		}
	}
	for _, path := range []string{"/backup/" + unused, "/backup", "/nothing", "/ui/x", "/panic", "/metrics", "/healthz", "/readyz", "/openapi.json", "/docs"} {
		add(http.MethodGet, path, canary, "")
		add(http.MethodPut, path, canary, canary)
	}
	return all
}

func TestLogsHaveNothingOfACaller(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "all", Scopes: readWrite | httpapi.ScopeAdmin}, httpapi.Token{Name: "reader", Scopes: httpapi.ScopeRead})
	options.RateLimit = httpapi.RateLimit{PerSecond: 1000, Burst: 10_000, FailuresPerMinute: 20}
	options.AuthorizeHandlers = options.Authorize
	options.Handlers = map[string]http.Handler{
		"/ui/":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
		"/panic": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("nothing of theirs")) }),
	}
	for name, s := range map[string]settings{
		"served": {}, "not migrated": {raw: true}, "database away": {pool: unreachable(t)},
	} {
		s.options = options
		b := setup(t, s)
		statuses := make(map[int]bool)
		for _, req := range canaryRequests(t, b.url, secrets) {
			a := send(t, req)
			statuses[a.StatusCode] = true
			require.NotContains(t, a.Header.Get("X-Request-Id"), canary, "it isn't one that is taken over")
		}
		log := b.log.String()
		require.Contains(t, log, "caller=all", name)
		for _, secret := range []string{canary, secrets["all"], secrets["reader"], httpapi.HashToken(secrets["all"])} {
			for line := range strings.Lines(log) {
				require.NotContains(t, line, secret, "%s", name)
			}
		}
		for _, status := range []int{400, 401, 403, 405, 413, 415, 422, 429, 500} {
			require.True(t, statuses[status], "%s: no request was answered %d", name, status)
		}
	}
}
