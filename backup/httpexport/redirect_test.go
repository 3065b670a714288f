package httpexport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// hop is what a server saw of one request.
type hop struct {
	uri    string
	header http.Header
}

// pair is a source that redirects and another host, both plain HTTP.
type pair struct {
	source, other *httptest.Server
	seen          chan hop // by either
}

func newPair(t *testing.T, status int, location func(p *pair) string) *pair {
	t.Helper()
	p := &pair{seen: make(chan hop, 20)}
	p.source = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.seen <- hop{r.RequestURI, r.Header.Clone()}
		if strings.HasPrefix(r.URL.Path, "/moved") {
			_, _ = io.WriteString(w, content)
			return
		}
		w.Header().Set("Location", location(p))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<a href=secret>")
	}))
	t.Cleanup(p.source.Close)
	p.other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.seen <- hop{r.RequestURI, r.Header.Clone()}
		if r.URL.Path == "/back" {
			http.Redirect(w, r, p.source.URL+"/moved", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, content)
	}))
	t.Cleanup(p.other.Close)
	return p
}

func (p *pair) provider(t *testing.T, allowed ...string) *httpexport.Provider {
	t.Helper()
	return newProvider(t, p.source.URL+template+"?key=secret", func(c *httpexport.Config) {
		c.Authorize = bearer
		c.Header = http.Header{"Cookie": {"session=secret"}, "X-Static": {"secret"}, "User-Agent": {"test"}}
		c.AllowedRedirectHosts = allowed
	})
}

func host(t *testing.T, s *httptest.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	return u.Host
}

func TestRedirectOnTheSameHostKeepsTheCredential(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := newPair(t, status, func(*pair) string { return "/moved/there?to=x#fragment" })
		req := resumeAt(10, `"v1"`)
		whole(t, p.provider(t), req)
		first, second := <-p.seen, <-p.seen
		require.Equal(t, "/export/u1/s1?key=secret", first.uri)
		require.Equal(t, "/moved/there?to=x", second.uri)
		require.Equal(t, first.header, second.header)
		require.Equal(t, "Bearer secret-of-u1", second.header.Get("Authorization"))
		require.Equal(t, "key-of-s1", second.header.Get("X-Api-Key"))
		require.Equal(t, "secret", second.header.Get("X-Static"))
		require.Equal(t, "bytes=10-", second.header.Get("Range"))
	}
}

func TestRedirectToAnAllowedHostLosesTheCredential(t *testing.T) {
	t.Parallel()
	p := newPair(t, 302, func(p *pair) string { return p.other.URL + "/signed?signature=x" })
	whole(t, p.provider(t, host(t, p.other)), resumeAt(10, `"v1"`))
	<-p.seen
	second := <-p.seen
	require.Equal(t, "/signed?signature=x", second.uri)
	require.Equal(t, http.Header{
		"Accept-Encoding": {"identity"}, "If-Range": {`"v1"`}, "Range": {"bytes=10-"}, "User-Agent": {"sitebackup"},
	}, second.header, "nothing else goes there, no Referer either")
}

func TestRedirectBackGetsTheCredentialAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t, 302, func(p *pair) string { return p.other.URL + "/back" })
	whole(t, p.provider(t, host(t, p.other)), request())
	<-p.seen
	require.Empty(t, (<-p.seen).header.Get("Authorization"))
	require.Equal(t, "Bearer secret-of-u1", (<-p.seen).header.Get("Authorization"))
}

func TestRedirectsThatAreNotFollowed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		location func(*pair) string
		text     string
	}{
		"another host":   {func(p *pair) string { return p.other.URL + "/?q=secret" }, "which is not allowed"},
		"another scheme": {func(p *pair) string { return "https" + strings.TrimPrefix(p.source.URL, "http") }, "which is not allowed"},
		"another name":   {func(*pair) string { return "//allowed.example.evil.example/secret" }, "leads to http://allowed.example.evil.example, which"},
		"another port":   {func(*pair) string { return "http://allowed.example:81/" }, "leads to http://allowed.example:81, which"},
		"no HTTP":        {func(*pair) string { return "file:///etc/secret" }, "no http or https URL"},
		"a user name":    {func(p *pair) string { return "http://user:secret@" + p.source.URL[7:] + "/moved" }, "has a user name"},
		"nowhere":        {func(*pair) string { return "" }, "no Location"},
		"what is no URL": {func(*pair) string { return "http://[secret" }, "invalid Location"},
		"itself":         {func(*pair) string { return "" + "?again" }, "too many redirects"},
	} {
		for status, class := range map[int]backup.Class{302: backup.ClassRetryable, 308: backup.ClassPermanent} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPair(t, status, tt.location)
				err := fails(t, p.provider(t, "allowed.example"), request())
				require.Equal(t, class, err.Class)
				require.ErrorContains(t, err, tt.text)
				require.NotContains(t, err.Error(), "secret")
				if name == "itself" {
					require.Len(t, p.seen, 6, "the request and 5 redirects")
				}
			})
		}
	}
}

func TestRedirectNeverLeadsFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	p := serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusMovedPermanently)
	}, func(c *httpexport.Config) { c.AllowedRedirectHosts = []string{host(t, plain)} })
	err := fails(t, p, request())
	require.ErrorContains(t, err, "it leads from https to http")
	require.Equal(t, backup.ClassPermanent, err.Class)
}

func TestNotModifiedIsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"300 Multiple Choices", "304 Not Modified", "305 Use Proxy"} {
		p := raw(t, "HTTP/1.1 "+status+"\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n", nil)
		require.Equal(t, backup.ClassPermanent, fails(t, p, request()).Class, status)
	}
}
