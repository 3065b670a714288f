package httpapi_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// requireRateLimited returns the seconds that the answer asks to wait.
func requireRateLimited(t testing.TB, a answer) int {
	t.Helper()
	requireProblem(t, a, 429, httpapi.CodeRateLimited)
	wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, wait, 1)
	require.Empty(t, a.Header.Get("WWW-Authenticate"))
	return wait
}

func TestRateLimitOfCallers(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "a", Scopes: httpapi.ScopeRead}, httpapi.Token{Name: "b", Scopes: httpapi.ScopeRead})
	options.RateLimit = httpapi.RateLimit{PerSecond: 0.5, Burst: 3}
	options.Handlers = map[string]http.Handler{"/ui/": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	b := setup(t, settings{options: options})
	a := b.as(secrets["a"])
	for range 3 {
		require.Equal(t, 404, a.get(t, "/backup/"+unused).StatusCode)
	}
	wait := requireRateLimited(t, a.get(t, "/backup/"+unused))
	require.LessOrEqual(t, wait, 2)
	requireRateLimited(t, a.post(t, start)) // before it looks at the scope
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/ui/", nil)
	require.NoError(t, err)
	req.SetBasicAuth("a", secrets["a"])
	requireRateLimited(t, send(t, req)) // it is the same caller
	require.Contains(t, b.log.String(), "caller=a method=POST path=/backup status=429")

	require.Equal(t, 404, b.as(secrets["b"]).get(t, "/backup/"+unused).StatusCode)
	require.Equal(t, 200, b.get(t, "/healthz").StatusCode)
	// A request that was refused uses up nothing.
	eventually(t, func() bool { return a.get(t, "/backup/"+unused).StatusCode == http.StatusNotFound })
}

func TestRateLimitOfFailures(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "a", Scopes: httpapi.ScopeRead})
	options.RateLimit = httpapi.RateLimit{FailuresPerMinute: 2}
	b := setup(t, settings{options: options})
	requireProblem(t, b.get(t, "/backup/"+unused), 401, httpapi.CodeUnauthenticated)
	requireProblem(t, b.as("guess").get(t, "/backup/"+unused), 401, httpapi.CodeUnauthenticated)
	require.Greater(t, requireRateLimited(t, b.as("guess").get(t, "/backup/"+unused)), 20)
	// Whoever has a credential doesn't suffer from a neighbour who guesses.
	require.Equal(t, 404, b.as(secrets["a"]).get(t, "/backup/"+unused).StatusCode)
}

func TestNoRateLimitWhereNobodyIsAsked(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{options: httpapi.Options{RateLimit: httpapi.RateLimit{PerSecond: 1, Burst: 1}}})
	for range 5 {
		require.Equal(t, 404, b.get(t, "/backup/"+unused).StatusCode)
	}
}
