package httpexport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

func TestContentType(t *testing.T) {
	t.Parallel()
	tar := []string{"application/x-tar"}
	for name, tt := range map[string]struct {
		declared []string
		sent     string // "": none
		stored   string
		class    backup.Class
	}{
		"declared":              {declared: tar, sent: "application/x-tar", stored: "application/x-tar"},
		"with parameters":       {declared: []string{"application/sql"}, sent: "Application/SQL;charset=UTF-8", stored: "application/sql; charset=UTF-8"},
		"one of two":            {declared: []string{"application/zip", "Application/X-Tar"}, sent: "application/x-tar", stored: "application/x-tar"},
		"another":               {declared: tar, sent: "application/json", class: backup.ClassPermanent},
		"a page":                {declared: tar, sent: "text/html; charset=utf-8", class: backup.ClassRetryable},
		"an XHTML page":         {declared: tar, sent: "application/xhtml+xml", class: backup.ClassRetryable},
		"none":                  {declared: tar, class: backup.ClassPermanent},
		"no valid one":          {declared: tar, sent: "tar", class: backup.ClassPermanent},
		"a page, any":           {sent: "text/html", class: backup.ClassRetryable},
		"a page, declared":      {declared: []string{"text/html"}, sent: "text/html", stored: "text/html"},
		"any":                   {sent: "application/zip", stored: "application/zip"},
		"none, any":             {stored: "application/octet-stream"},
		"no valid one, any":     {sent: "a/b/c;;", stored: "application/octet-stream"},
		"none, octets declared": {declared: []string{"application/octet-stream"}, class: backup.ClassPermanent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serve(t, func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, strings.ToLower(strings.Join(tt.declared, ", ")), r.Header.Get("Accept"))
				w.Header()["Content-Type"] = nil
				if tt.sent != "" {
					w.Header().Set("Content-Type", tt.sent)
				}
				_, _ = io.WriteString(w, content)
			}, func(c *httpexport.Config) { c.ContentType = tt.declared })
			if tt.class != "" {
				err := fails(t, p, request())
				require.Equal(t, tt.class, err.Class)
				require.ErrorContains(t, err, "200 with a content type that is not declared")
				return
			}
			e, _ := whole(t, p, request())
			require.Equal(t, tt.stored, e.ContentType)
		})
	}
}

func TestContentEncoding(t *testing.T) {
	t.Parallel()
	zipped := gzipped(t, content)
	response := func(coding string) string { return ok("Content-Encoding: "+coding, "Transfer-Encoding: chunked") }
	for _, coding := range []string{"gzip", "br", "identity, gzip", "GZIP"} {
		p := raw(t, response(coding)+chunked(zipped)+"0\r\n\r\n", nil)
		err := fails(t, p, request())
		require.Equal(t, backup.ClassPermanent, err.Class)
		require.ErrorContains(t, err, "the export has a content coding")

		e, err2 := raw(t, response(coding)+chunked(zipped)+"0\r\n\r\n", allowEncoded).Export(t.Context(), request())
		require.NoError(t, err2)
		got, err2 := read(t, e)
		require.NoError(t, err2)
		require.Equal(t, zipped, got, "as it came")
	}
	whole(t, raw(t, response("identity")+chunked(content)+"0\r\n\r\n", nil), request())
}

func TestTransportThatDecodesIsRefused(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "http://source.example/"+template, func(c *httpexport.Config) { c.Transport = decoding{} })
	err := fails(t, p, request())
	require.Equal(t, backup.ClassPermanent, err.Class)
	require.ErrorContains(t, err, "the transport decoded the export")
}

// decoding is a transport that decodes, as net/http's does if it is let.
type decoding struct{}

func (decoding) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Uncompressed: true, ContentLength: -1, Body: http.NoBody, Request: r}, nil
}

// forgetful is a transport that leaves Response.Request out.
type forgetful struct{}

func (forgetful) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusTeapot, Body: http.NoBody}, nil
}

func TestTransportThatForgetsTheRequest(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "http://example.com"+template, func(c *httpexport.Config) { c.Transport = forgetful{} })
	require.ErrorContains(t, fails(t, p, request()), "GET http://example.com/export/u1/s1: 418 I'm a teapot")
}

func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		_, _ = io.WriteString(w, content)
	}, func(c *httpexport.Config) {
		c.Header = http.Header{"X-Static": {"a", "b"}, "Accept": {"*/*"}}
		c.ContentType = []string{"text/plain"}
		c.Authorize = bearer
	})
	whole(t, p, request())
	r := <-seen
	require.Equal(t, http.MethodGet, r.Method)
	require.Equal(t, http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"identity"}, "Authorization": {"Bearer secret-of-u1"},
		"User-Agent": {"sitebackup"}, "X-Api-Key": {"key-of-s1"}, "X-Static": {"a", "b"},
	}, r.Header)
}

func TestRequestPathIsSentEscaped(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.RequestURI
		_, _ = io.WriteString(w, content)
	}, func(c *httpexport.Config) { c.URL += "/x?s={siteId}" })
	whole(t, p, &backup.ExportRequest{UserID: "a/b%c", SiteID: "ä.example & co"})
	require.Equal(t, "/export/a%2Fb%25c/%C3%A4.example%20&%20co/x?s=%C3%A4.example+%26+co", <-seen)

	err := fails(t, p, &backup.ExportRequest{UserID: "..", SiteID: "s"})
	require.Equal(t, backup.ClassPermanent, err.Class)
	require.ErrorContains(t, err, `user "..", site "s"`)
	require.Empty(t, seen)
}
