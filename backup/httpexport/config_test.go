package httpexport_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/httpexport"
)

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, set := range map[string]func(*httpexport.Config){
		"URL must begin with http:// or https://":                     func(c *httpexport.Config) { c.URL = "" },
		"ConnectTimeout must not be negative":                         func(c *httpexport.Config) { c.ConnectTimeout = -1 },
		"TLSTimeout must not be negative":                             func(c *httpexport.Config) { c.TLSTimeout = -time.Hour },
		"Pages.CursorHeader and Pages.CursorParam must be":            func(c *httpexport.Config) { c.Pages = &httpexport.Pages{CursorParam: "cursor"} },
		"Pages.CursorHeader must be a valid header name":              func(c *httpexport.Config) { c.Pages = &httpexport.Pages{CursorHeader: "a b", CursorParam: "c"} },
		"Pages.MaxPages must be at least 1":                           func(c *httpexport.Config) { c.Pages = &httpexport.Pages{MaxPages: -1} },
		"SizeTimeout must not be negative":                            func(c *httpexport.Config) { c.SizeTimeout = -1 },
		"HeaderTimeout must not be negative":                          func(c *httpexport.Config) { c.HeaderTimeout = -1 },
		"Transport must not be set together with TLS or Proxy":        func(c *httpexport.Config) { c.Transport, c.TLS = decoding{}, &tls.Config{} },
		"ContentType[1] must be a media type such as application/zip": func(c *httpexport.Config) { c.ContentType = []string{"a/b", "zip"} },
		"ContentType[0] must be a media type":                         func(c *httpexport.Config) { c.ContentType = []string{"*/*"} },
		"application/zip, without parameters":                         func(c *httpexport.Config) { c.ContentType = []string{"a/b; c=d"} },
		"AllowedRedirectHosts[0] must be a host or host:port":         func(c *httpexport.Config) { c.AllowedRedirectHosts = []string{"https://h"} },
		"AllowedRedirectHosts[1] must be a host or host:port":         func(c *httpexport.Config) { c.AllowedRedirectHosts = []string{"h:81", "u@h"} },
		"AllowedRedirectHosts[2] must be a host or host:port":         func(c *httpexport.Config) { c.AllowedRedirectHosts = []string{"[::1]:8", "1.2.3.4", ""} },
		`Header must have valid names, "a b" is none`:                 func(c *httpexport.Config) { c.Header = http.Header{"a b": nil} },
		`Header must have canonical names, "x-y" is none`:             func(c *httpexport.Config) { c.Header = http.Header{"x-y": nil} },
		"Header must not have Range":                                  func(c *httpexport.Config) { c.Header = http.Header{"Range": {"bytes=0-"}} },
		"Header must not have Accept-Encoding":                        func(c *httpexport.Config) { c.Header = http.Header{"Accept-Encoding": {"gzip"}} },
		"Header must have valid values, that of X-Y is none":          func(c *httpexport.Config) { c.Header = http.Header{"X-Y": {"fine", "secret\n"}} },
	} {
		c := &httpexport.Config{URL: "https://api.example.com/{userId}"}
		set(c)
		_, err := httpexport.New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestNewCopiesItsConfig(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	var c *httpexport.Config
	p := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Clone() }, func(config *httpexport.Config) {
		c = config
		c.Header = http.Header{"X-Static": {"before"}}
		c.ContentType = []string{"Text/Plain"}
	})
	require.Equal(t, []string{"Text/Plain"}, c.ContentType)
	require.Zero(t, c.HeaderTimeout)
	c.Header.Set("X-Static", "after")
	c.ContentType[0] = "application/zip"
	e, err := p.Export(t.Context(), request())
	require.NoError(t, err)
	require.Equal(t, "text/plain", e.ContentType, "empty, and so of the declared type")
	require.NoError(t, e.Body.Close())
	require.Equal(t, "before", (<-seen).Get("X-Static"))
}
