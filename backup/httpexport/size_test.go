package httpexport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

func TestSizeAsksAsTheExportDoes(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, http.HandlerFunc, func(*httpexport.Config)) *httpexport.Provider{
		"HTTP/1": serve, "HTTP/2": serveH2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan *http.Request, 1)
			p := start(t, func(w http.ResponseWriter, r *http.Request) {
				seen <- r
				w.Header().Set("Content-Type", "application/zip")
				w.Header().Set("Content-Length", "5000000000000")
			}, func(c *httpexport.Config) {
				c.URL += "?a=b"
				c.Header = http.Header{"X-Static": {"static"}}
				c.Authorize = bearer
				c.ContentType = []string{"application/zip"}
			})
			size, err := p.Size(t.Context(), resumeAt(10, `"v1"`))
			require.NoError(t, err)
			require.EqualValues(t, 5_000_000_000_000, size)
			r := <-seen
			require.Equal(t, http.MethodHead, r.Method)
			require.Equal(t, "/export/u1/s1?a=b", r.RequestURI)
			require.Equal(t, "static", r.Header.Get("X-Static"))
			require.Equal(t, "Bearer secret-of-u1", r.Header.Get("Authorization"))
			require.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
			require.Equal(t, "application/zip", r.Header.Get("Accept"))
			require.Empty(t, r.Header.Get("Range"))
		})
	}
}

func TestSizeOfMockAPI(t *testing.T) {
	t.Parallel()
	h, p := newMock(t, export.Options{})
	size, err := p.Size(t.Context(), request())
	require.NoError(t, err)
	require.EqualValues(t, mockSize, size)
	require.Zero(t, h.Stats().Bytes)
}

// TestSizeThatNobodySays answers HEAD in the ways in which sources that know GET
// only do.
func TestSizeThatNobodySays(t *testing.T) {
	t.Parallel()
	const tar = "Content-Type: application/x-tar\r\n"
	for name, tt := range map[string]struct {
		response string
		want     int64
		err      string
		class    backup.Class
	}{
		"length":              {response: "HTTP/1.1 200 OK\r\n" + tar + "Content-Length: 7\r\n\r\n", want: 7},
		"chunked":             {response: "HTTP/1.1 200 OK\r\n" + tar + "Transfer-Encoding: chunked\r\n\r\n", want: -1},
		"neither":             {response: "HTTP/1.1 200 OK\r\n" + tar + "\r\n", want: -1},
		"a length of 0":       {response: "HTTP/1.1 200 OK\r\n" + tar + "Content-Length: 0\r\n\r\n", want: -1},
		"no type":             {response: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", want: -1},
		"a page":              {response: "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\n", want: -1},
		"coded":               {response: "HTTP/1.1 200 OK\r\n" + tar + "Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\n", want: -1},
		"204":                 {response: "HTTP/1.1 204 No Content\r\n\r\n", want: -1},
		"404":                 {response: "HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n", want: -1},
		"405":                 {response: "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 7\r\n\r\n", want: -1},
		"501":                 {response: "HTTP/1.1 501 Not Implemented\r\nContent-Length: 7\r\n\r\n", want: -1},
		"401":                 {response: "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\n", want: -1, err: "401", class: backup.ClassPermanent},
		"206":                 {response: "HTTP/1.1 206 Partial Content\r\nContent-Length: 7\r\n\r\n", want: -1, err: "206", class: backup.ClassPermanent},
		"500":                 {response: "HTTP/1.1 500 Oh\r\nContent-Length: 7\r\n\r\n", want: -1, err: "500", class: backup.ClassRetryable},
		"two lengths":         {response: "HTTP/1.1 200 OK\r\n" + tar + "Content-Length: 7\r\nContent-Length: 8\r\n\r\n", want: -1, err: "Content-Length", class: backup.ClassRetryable},
		"a length too large":  {response: "HTTP/1.1 200 OK\r\n" + tar + "Content-Length: 9223372036854775808\r\n\r\n", want: -1, err: "Content-Length", class: backup.ClassRetryable},
		"a negative length":   {response: "HTTP/1.1 200 OK\r\n" + tar + "Content-Length: -7\r\n\r\n", want: -1, err: "Content-Length", class: backup.ClassRetryable},
		"no HTTP":             {response: "secret\r\n\r\n", want: -1, err: "malformed", class: backup.ClassRetryable},
		"nothing":             {response: "", want: -1, err: "ended early", class: backup.ClassRetryable},
		"a body all the same": {response: "HTTP/1.1 200 OK\r\n" + tar + "Content-Length: 7\r\nConnection: close\r\n\r\nsecret!", want: 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := raw(t, tt.response, func(c *httpexport.Config) {
				c.ContentType = []string{"application/x-tar"}
				c.URL += "?key=secret"
			})
			size, err := p.Size(t.Context(), request())
			require.Equal(t, tt.want, size)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
			require.NotContains(t, err.Error(), "secret")
			requireClass(t, tt.class, err)
			require.ErrorContains(t, err, "HEAD http://127.0.0.1:")
		})
	}
}

func TestSizeOfCodedExportsThatAreStoredCoded(t *testing.T) {
	t.Parallel()
	p := raw(t, "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\n", allowEncoded)
	size, err := p.Size(t.Context(), request())
	require.NoError(t, err)
	require.EqualValues(t, 7, size)
}

func TestSizeThatIsNotAskedFor(t *testing.T) {
	t.Parallel()
	p := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the source was asked") }, func(c *httpexport.Config) { c.NoHead = true })
	size, err := p.Size(t.Context(), request())
	require.NoError(t, err)
	require.EqualValues(t, -1, size)
}

func TestSizeFollowsRedirectsAsTheExportDoes(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	}))
	t.Cleanup(other.Close)
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }

	p := serve(t, redirect, func(c *httpexport.Config) {
		c.Authorize, c.AllowedRedirectHosts = bearer, []string{host(t, other)}
	})
	size, err := p.Size(t.Context(), request())
	require.NoError(t, err)
	require.EqualValues(t, len(content), size)
	require.Empty(t, (<-seen).Get("Authorization"))

	size, err = serve(t, redirect, nil).Size(t.Context(), request())
	require.ErrorContains(t, err, "which is not allowed")
	require.EqualValues(t, -1, size)
	require.Empty(t, seen)
}

func TestSizeIsNotWaitedForForLong(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	addr := rawServer(t, listen(t), func(conn net.Conn) {
		<-release
		_, _ = io.WriteString(conn, ok())
	})
	t.Cleanup(func() { close(release) }) // before the server waits for its connections
	p := newProvider(t, "http://"+addr+template, func(c *httpexport.Config) { c.SizeTimeout = 20 * time.Millisecond })
	size, err := p.Size(t.Context(), request())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	requireClass(t, backup.ClassRetryable, err)
	require.EqualValues(t, -1, size)
}

func TestSizeOfIdsThatMakeNoURL(t *testing.T) {
	t.Parallel()
	req := request()
	req.SiteID = ".."
	size, err := newProvider(t, "https://source.example"+template, nil).Size(t.Context(), req)
	requireClass(t, backup.ClassPermanent, err)
	require.EqualValues(t, -1, size)
}
