package main_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

var tokenRE = regexp.MustCompile(`(?m)^# (sitebackup_[A-Za-z0-9_-]{43})$`)

// newToken runs "backupd token new" and returns the token, and its entry as an
// item of a list.
func newToken(t testing.TB, args ...string) (token, entry string) {
	t.Helper()
	status, out, err := runs(t, nil, append([]string{"token", "new"}, args...)...)
	require.Zero(t, status, err)
	require.Regexp(t, tokenRE, out)
	_, entry, ok := strings.Cut(out, "api:\n  tokens:\n")
	require.True(t, ok, "%s", out)
	token = tokenRE.FindStringSubmatch(out)[1]
	require.NotContains(t, entry, token)
	return token, entry
}

// What "token new" prints lets one in, from wherever the server is reached, and
// River UI takes it, too.
func TestServeWithTokens(t *testing.T) {
	t.Parallel()
	writer, writerEntry := newToken(t, "--name", "ci", "--scope", "write", "--scope", "read", "--user", "team-*,x")
	viewer, viewerEntry := newToken(t, "--name", "viewer")
	operator, operatorEntry := newToken(t, "--name", "operator", "--scope=read,admin")
	s := setup(t, 1<<10, "api:\n  tokens:\n"+writerEntry+viewerEntry+operatorEntry)
	p := start(t, s.env(), "serve", "--migrate", "--listen", "0.0.0.0:0", "--log-level", "debug")
	url := p.ready()

	ask := func(method, path, body string, set func(*http.Request)) int {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Host = "backup.example.com" // a name of somebody's own
		req.Header.Set("Content-Type", "application/json")
		set(req)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	basic := func(name, token string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, token) }
	}
	const mine, theirs = `{"userId":"team-1,x","siteId":"s"}`, `{"userId":"other","siteId":"s"}`
	require.Equal(t, http.StatusAccepted, ask("POST", "/backup", mine, bearer(writer)))
	require.Equal(t, http.StatusForbidden, ask("POST", "/backup", theirs, bearer(writer)))
	require.Equal(t, http.StatusForbidden, ask("POST", "/backup", mine, bearer(viewer)))
	require.Equal(t, http.StatusUnauthorized, ask("POST", "/backup", mine, func(*http.Request) {}))

	const ui, cancel = "/riverui/", "/riverui/api/jobs/cancel"
	require.Equal(t, http.StatusUnauthorized, ask("GET", ui, "", func(*http.Request) {}))
	require.Equal(t, http.StatusOK, ask("GET", ui, "", basic("viewer", viewer)))
	require.Equal(t, http.StatusOK, ask("GET", "/riverui/api/states", "", basic("viewer", viewer)))
	require.Equal(t, http.StatusForbidden, ask("POST", cancel, `{"ids":["1"]}`, basic("viewer", viewer)))
	require.Equal(t, http.StatusForbidden, ask("GET", ui, "", basic("ci", writer)), "it is for some tenants only")
	require.NotContains(t, []int{401, 403}, ask("POST", cancel, `{"ids":["1"]}`, basic("operator", operator)))
	require.Equal(t, http.StatusForbidden, ask("POST", cancel, `{"ids":["1"]}`, func(r *http.Request) {
		basic("operator", operator)(r)
		r.Header.Set("Origin", "https://evil.example.com")
	}))

	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())
	for _, token := range []string{writer, viewer, operator} {
		require.NotContains(t, p.err.String(), token)
	}
	require.NotContains(t, p.err.String(), "nobody is asked")
	require.Contains(t, p.err.String(), "caller=ci method=POST path=/backup status=202")
}

func TestServeSaysThatNobodyIsAsked(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<10, "")
	p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	p.ready()
	require.Regexp(t, `level=INFO msg="no credentials are configured: nobody is asked who they are, and only this machine is answered" address=127\.0\.0\.1:\d+`, p.err.String())
}

func TestTokenNewRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--name a --scope all": "backupd: --scope: must be read, write or admin, not \"all\"\n",
		"--name a/b":           "backupd: token: Name must be 1 to 64 letters, digits and ._-, beginning with a letter or digit, not \"a/b\"\n",
		"--name a --user=":     "backupd: token: Users must be patterns of 1 to 255 bytes of UTF-8 without control characters\n",
	} {
		status, out, err := runs(t, nil, append([]string{"token", "new"}, strings.Fields(args)...)...)
		require.Equal(t, 2, status)
		require.Empty(t, out)
		require.Equal(t, want, err)
	}
	status, _, _ := runs(t, nil, "token", "new")
	require.Equal(t, 2, status)
}
