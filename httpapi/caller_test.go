package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

const (
	start  = `{"userId":"u","siteId":"s"}`
	unused = "019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b" // no backup's id
)

// newTokens makes tokens, and gives the secret of each by its name.
func newTokens(t testing.TB, tokens ...httpapi.Token) (*httpapi.Tokens, map[string]string) {
	t.Helper()
	secrets := make(map[string]string)
	for i := range tokens {
		secret := httpapi.NewToken()
		secrets[tokens[i].Name], tokens[i].SHA256 = secret, httpapi.HashToken(secret)
	}
	known, err := httpapi.NewTokens(tokens)
	require.NoError(t, err)
	return known, secrets
}

func authorize(t testing.TB, tokens ...httpapi.Token) (httpapi.Options, map[string]string) {
	t.Helper()
	known, secrets := newTokens(t, tokens...)
	return httpapi.Options{Authorize: known.Authorize, AuthorizeHandlers: known.AuthorizeBasic}, secrets
}

const readWrite = httpapi.ScopeRead | httpapi.ScopeWrite

func TestTokens(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "first", Scopes: readWrite}, httpapi.Token{Name: "second", Scopes: readWrite})
	b := setup(t, settings{options: options})
	for name, secret := range secrets {
		a := b.as(secret).post(t, start)
		require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
		require.Equal(t, http.StatusOK, b.as(secret).get(t, a.Header.Get("Location")).StatusCode)
		require.Contains(t, b.log.String(), "caller="+name+" method=POST path=/backup status=202")
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/openapi.yaml"} {
		require.Equal(t, http.StatusOK, b.get(t, path).StatusCode, path)
	}
}

func TestUnauthenticated(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "n", Scopes: readWrite})
	b := setup(t, settings{options: options})
	token := secrets["n"]
	basic := func(user, password string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	const none, invalid = `Bearer realm="backup"`, `Bearer realm="backup", error="invalid_token"`
	for header, challenge := range map[string]string{
		"": none, "Bearer": invalid, "Bearer" + " ": invalid, token: invalid, "Token " + token: invalid, "Bearer " + token + "x": invalid,
		"Bearer " + token[:len(token)-1]: invalid, "Bearer " + strings.ToUpper(token): invalid, "Bearer " + httpapi.HashToken(token): invalid,
		// A browser sends this by itself: the API must not take it.
		basic("n", token): invalid,
	} {
		for _, path := range []string{"/backup/" + unused, "/backup"} {
			method := http.MethodGet
			if path == "/backup" {
				method = http.MethodPost
			}
			req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader("{"))
			require.NoError(t, err)
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			a := send(t, req)
			requireProblem(t, a, 401, httpapi.CodeUnauthenticated)
			require.Equal(t, challenge, a.Header.Get("WWW-Authenticate"), header)
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/backup/"+unused, nil)
	require.NoError(t, err)
	req.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token}
	requireProblem(t, send(t, req), 401, httpapi.CodeUnauthenticated)
	requireProblem(t, b.get(t, "/backup/"+unused+"?access_token="+token), 401, httpapi.CodeUnauthenticated)
	require.Equal(t, 404, b.as(token).get(t, "/backup/"+unused).StatusCode)
}

func TestScopes(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "reader", Scopes: httpapi.ScopeRead},
		httpapi.Token{Name: "writer", Scopes: httpapi.ScopeWrite}, httpapi.Token{Name: "admin", Scopes: httpapi.ScopeAdmin})
	b := setup(t, settings{options: options})
	a := b.as(secrets["writer"]).post(t, start)
	require.Equal(t, http.StatusAccepted, a.StatusCode)
	location := a.Header.Get("Location")
	require.Equal(t, http.StatusOK, b.as(secrets["reader"]).get(t, location).StatusCode)

	for _, name := range []string{"writer", "admin"} {
		a = b.as(secrets[name]).get(t, location)
		requireProblem(t, a, 403, httpapi.CodeForbidden)
		require.Equal(t, `Bearer realm="backup", error="insufficient_scope", scope="read"`, a.Header.Get("WWW-Authenticate"))
	}
	for _, name := range []string{"reader", "admin"} {
		requireProblem(t, b.as(secrets[name]).post(t, start), 403, httpapi.CodeForbidden)
		require.Contains(t, b.log.String(), "caller="+name+" method=POST path=/backup status=403")
	}
}

// What belongs to another tenant is not there: no word of the answer differs from
// that for an id that no backup has.
func TestOtherTenants(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t,
		httpapi.Token{Name: "all", Scopes: readWrite},
		httpapi.Token{Name: "user", Scopes: readWrite, Users: []string{"u"}},
		httpapi.Token{Name: "other", Scopes: readWrite, Users: []string{"v", "u2*"}},
		httpapi.Token{Name: "site", Scopes: readWrite, Users: []string{"*"}, Sites: []string{"t*"}})
	b := setup(t, settings{options: options})
	location := b.as(secrets["user"]).post(t, start).Header.Get("Location")
	for _, name := range []string{"all", "user"} {
		require.Equal(t, http.StatusOK, b.as(secrets[name]).get(t, location).StatusCode)
	}
	for _, name := range []string{"other", "site"} {
		hidden := b.as(secrets[name]).get(t, location)
		missing := b.as(secrets[name]).get(t, "/backup/"+unused)
		requireProblem(t, hidden, 404, httpapi.CodeNotFound)
		id := hidden.Header.Get("X-Request-Id")
		require.Equal(t, string(missing.body), strings.ReplaceAll(string(hidden.body), id, missing.Header.Get("X-Request-Id")))
		for _, a := range []answer{hidden, missing} {
			a.Header.Del("X-Request-Id")
			a.Header.Del("Date")
		}
		require.Equal(t, missing.Header, hidden.Header)
	}

	// Whether there is a backup of that tenant or not.
	for _, body := range []string{start, `{"userId":"never","siteId":"seen"}`} {
		a := b.as(secrets["other"]).post(t, body)
		requireProblem(t, a, 403, httpapi.CodeForbidden)
		require.Equal(t, `Bearer realm="backup", error="insufficient_scope"`, a.Header.Get("WWW-Authenticate"))
	}
	all, err := b.client.List(t.Context(), backup.ListParams{})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, http.StatusAccepted, b.as(secrets["site"]).post(t, `{"userId":"u","siteId":"t1"}`).StatusCode)
	require.Equal(t, http.StatusAccepted, b.as(secrets["other"]).post(t, `{"userId":"u23","siteId":"s"}`).StatusCode)
}

// A host decides who its callers are.
func TestAuthorizeOfAHost(t *testing.T) {
	t.Parallel()
	answers := map[string]func() (*httpapi.Caller, error){
		"ok":     func() (*httpapi.Caller, error) { return &httpapi.Caller{Name: "somebody", Can: readWrite}, nil },
		"nobody": func() (*httpapi.Caller, error) { return nil, nil },
		"unknown": func() (*httpapi.Caller, error) {
			return nil, errors.Join(errors.New("why"), httpapi.ErrUnauthenticated)
		},
		"broken": func() (*httpapi.Caller, error) { return nil, errors.New("secret reason") },
		"away":   func() (*httpapi.Caller, error) { return nil, context.DeadlineExceeded },
	}
	opts := &httpapi.Options{Authorize: func(r *http.Request) (*httpapi.Caller, error) {
		require.Equal(t, "/v1/backup/"+unused, r.URL.Path)
		require.Equal(t, "q=1", r.URL.RawQuery)
		require.Equal(t, http.MethodGet, r.Method)
		require.NotEmpty(t, r.RemoteAddr)
		require.NotEmpty(t, r.Host)
		c, err := r.Cookie("session")
		require.NoError(t, err)
		return answers[c.Value]()
	}}
	b := setup(t, settings{})
	mux := http.NewServeMux()
	httpapi.Register(huma.NewGroup(humago.New(mux, huma.DefaultConfig("Host", "1.0.0")), "/v1"), b.client, opts)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for session, want := range map[string]struct {
		status int
		code   httpapi.Code
	}{
		"ok": {404, httpapi.CodeNotFound}, "nobody": {401, httpapi.CodeUnauthenticated}, "unknown": {401, httpapi.CodeUnauthenticated},
		"broken": {500, httpapi.CodeInternal}, "away": {503, httpapi.CodeUnavailable},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/backup/"+unused+"?q=1", nil)
		require.NoError(t, err)
		req.AddCookie(&http.Cookie{Name: "session", Value: session})
		a := send(t, req)
		require.Equal(t, want.status, a.StatusCode, session)
		require.Equal(t, want.code, decode[httpapi.Problem](t, a).Code)
		require.NotContains(t, string(a.body), "reason")
	}
}

func TestHandlersAskForCredentials(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "viewer", Scopes: httpapi.ScopeRead}, httpapi.Token{Name: "writer", Scopes: httpapi.ScopeWrite},
		httpapi.Token{Name: "operator", Scopes: httpapi.ScopeRead | httpapi.ScopeAdmin},
		httpapi.Token{Name: "tenant", Scopes: httpapi.ScopeRead | httpapi.ScopeAdmin, Users: []string{"u"}})
	options.Handlers = map[string]http.Handler{"/ui/": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })}
	b := setup(t, settings{options: options})
	ask := func(method, name, password string, header ...string) answer {
		req, err := http.NewRequestWithContext(t.Context(), method, b.url+"/ui/x", nil)
		require.NoError(t, err)
		if name != "" {
			req.SetBasicAuth(name, password)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return send(t, req)
	}
	for _, a := range []answer{
		ask("GET", "", ""), ask("GET", "viewer", ""), ask("GET", "viewer", secrets["operator"]), ask("GET", "nobody", secrets["viewer"]),
		ask("GET", "", "", "Authorization", "Bearer "+secrets["viewer"]), ask("POST", "", ""),
	} {
		requireProblem(t, a, 401, httpapi.CodeUnauthenticated)
		require.Equal(t, `Basic realm="backup", charset="UTF-8"`, a.Header.Get("WWW-Authenticate"))
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		reads := method == "GET" || method == "HEAD"
		for name, secret := range secrets {
			a := ask(method, name, secret)
			want := http.StatusForbidden
			if name == "operator" || name == "viewer" && reads {
				want = http.StatusTeapot
			}
			require.Equal(t, want, a.StatusCode, "%s %s", method, name)
			require.Empty(t, a.Header.Get("WWW-Authenticate"))
		}
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.com"}} {
		requireProblem(t, ask("POST", "operator", secrets["operator"], header...), 403, httpapi.CodeCrossOrigin)
		require.Equal(t, http.StatusTeapot, ask("GET", "operator", secrets["operator"], header...).StatusCode)
	}
	require.Contains(t, b.log.String(), "caller=operator method=DELETE path=/ui/x status=418")
}

func TestTokenRules(t *testing.T) {
	t.Parallel()
	hash := httpapi.HashToken("x")
	good := httpapi.Token{Name: "n", SHA256: hash, Scopes: httpapi.ScopeRead}
	require.NoError(t, good.Validate())
	for rule, change := range map[string]func(*httpapi.Token){
		"Name must be":   func(t *httpapi.Token) { t.Name = "two words" },
		"SHA256 must be": func(t *httpapi.Token) { t.SHA256 = hash[1:] },
		"SHA256 must":    func(t *httpapi.Token) { t.SHA256 = strings.Repeat("x", 64) },
		"Scopes must":    func(t *httpapi.Token) { t.Scopes = 0 },
		"Users must be":  func(t *httpapi.Token) { t.Users = []string{""} },
		"Sites must be":  func(t *httpapi.Token) { t.Sites = []string{"a\n"} },
	} {
		bad := good
		change(&bad)
		require.ErrorContains(t, bad.Validate(), rule)
		_, err := httpapi.NewTokens([]httpapi.Token{bad})
		require.ErrorContains(t, err, rule)
	}
	for _, twice := range []httpapi.Token{{Name: "n", SHA256: httpapi.HashToken("y"), Scopes: httpapi.ScopeRead}, {Name: "m", SHA256: hash, Scopes: httpapi.ScopeRead}} {
		_, err := httpapi.NewTokens([]httpapi.Token{good, twice})
		require.ErrorContains(t, err, "must differ")
	}
	require.NotEqual(t, httpapi.NewToken(), httpapi.NewToken())
	require.Len(t, httpapi.NewToken(), len("sitebackup_")+43)
}
