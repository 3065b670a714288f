package httpexport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sitebackup/sitebackup/backup"
)

// Config is how to reach an export API.
type Config struct {
	// URL of an export, http or https, with the placeholders {userId}, {siteId}
	// and {backupId} in its path or query, where they are escaped. An id can't
	// leave its place: one that would make a "." or ".." segment is refused.
	// Required.
	URL string

	// Authorize adds a credential to each request that goes to the URL's own
	// scheme, host and port, as its last step: it may set headers and the query.
	// It is called again for each redirect and attempt, by many goroutines. Its
	// error fails the attempt, with the class it has. That error is stored and
	// shown: it must not have the credential in it. Nil adds nothing.
	Authorize func(ctx context.Context, r *http.Request, req *backup.ExportRequest) error

	// Header is sent with each request that goes to the URL's own scheme, host
	// and port. It must not have headers that decide how the export is
	// transferred, such as Range or Accept-Encoding.
	Header http.Header

	// ContentType are the media types an export may have, such as
	// "application/zip"; parameters are not compared. A response of another type
	// is an error. Defaults to all but HTML, which is what login and error pages
	// are made of.
	ContentType []string

	// AllowEncoded stores an export that the source sent with a content coding
	// (gzip, say), although it was asked not to, as it came: coded. Length and
	// digests are those of the coded bytes, and ContentType that of the decoded
	// ones. Defaults to refusing it.
	AllowEncoded bool

	// Pages is set for a source that sends an export in pages. Defaults to nil: one
	// response has the whole.
	Pages *Pages

	// NoResume never asks for a part of an export. It is for sources whose
	// answers to Range can't be trusted.
	NoResume bool

	// AllowedRedirectHosts are the hosts, as host or host:port, that a redirect
	// may lead to besides the URL's own scheme, host and port. They get neither
	// Header nor Authorize's credential. https never leads to http. Defaults to
	// none.
	AllowedRedirectHosts []string

	// ConnectTimeout bounds making a TCP connection. Defaults to 10 seconds.
	ConnectTimeout time.Duration

	// TLSTimeout bounds the TLS handshake. Defaults to 10 seconds.
	TLSTimeout time.Duration

	// HeaderTimeout bounds the time from the request to the header of its
	// response, in which a source may be preparing the export. Defaults to 60
	// seconds.
	HeaderTimeout time.Duration

	// SizeTimeout bounds asking for the size of an export (see Provider.Size).
	// Defaults to 10 seconds.
	SizeTimeout time.Duration

	// NoHead never asks for the size of an export before the export itself. It is
	// for sources that make a whole export to answer a HEAD, or whose answers to it
	// can't be trusted.
	NoHead bool

	// TLS is for private authorities and client certificates. Defaults to the
	// system's authorities.
	TLS *tls.Config

	// Proxy returns the proxy for a request, as http.Transport.Proxy does.
	// Defaults to none: the environment isn't read.
	Proxy func(*http.Request) (*url.URL, error)

	// Transport makes the requests instead of the package's own, with its own
	// timeouts, TLS and proxy. It must not decode content codings, nor use a
	// connection of HTTP/1 again.
	Transport http.RoundTripper
}

// withDefaults returns a copy of c that shares nothing with it, with what isn't
// set filled in.
func (c *Config) withDefaults() *Config {
	d := *c
	d.Header = c.Header.Clone()
	d.ContentType = slices.Clone(c.ContentType)
	d.AllowedRedirectHosts = slices.Clone(c.AllowedRedirectHosts)
	d.TLS = c.TLS.Clone()
	d.Pages = c.Pages.withDefaults()
	d.ConnectTimeout = cmp.Or(c.ConnectTimeout, 10*time.Second)
	d.TLSTimeout = cmp.Or(c.TLSTimeout, 10*time.Second)
	d.HeaderTimeout = cmp.Or(c.HeaderTimeout, 60*time.Second)
	d.SizeTimeout = cmp.Or(c.SizeTimeout, 10*time.Second)
	return &d
}

// validate checks everything but URL, which parseTemplate does.
func (c *Config) validate() error {
	for name, d := range map[string]time.Duration{
		"ConnectTimeout": c.ConnectTimeout, "TLSTimeout": c.TLSTimeout, "HeaderTimeout": c.HeaderTimeout,
		"SizeTimeout": c.SizeTimeout,
	} {
		if d < 0 {
			return fmt.Errorf("%s must not be negative", name)
		}
	}
	if c.Transport != nil && (c.TLS != nil || c.Proxy != nil) {
		return errors.New("Transport must not be set together with TLS or Proxy: it brings its own")
	}
	for i, s := range c.ContentType {
		media, params, err := mime.ParseMediaType(s)
		if err != nil || len(params) > 0 || !strings.Contains(media, "/") || strings.Contains(media, "*") {
			return fmt.Errorf("ContentType[%d] must be a media type such as application/zip, without parameters", i)
		}
		c.ContentType[i] = media
	}
	for i, host := range c.AllowedRedirectHosts {
		u, err := url.Parse("//" + host)
		if err != nil || u.Host != host || u.Hostname() == "" {
			return fmt.Errorf("AllowedRedirectHosts[%d] must be a host or host:port", i)
		}
	}
	if err := c.Pages.validate(); err != nil {
		return err
	}
	return validateHeader(c.Header)
}

// ownHeaders are those that this package sets or that net/http does; and the
// conditions that a response without an export could come from.
var ownHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "If-Match", "If-Modified-Since",
	"If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Range", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

func validateHeader(header http.Header) error {
	for name, values := range header {
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("Header must have valid names, %q is none", name)
		case name != http.CanonicalHeaderKey(name):
			return fmt.Errorf("Header must have canonical names, %q is none: use Header.Set", name)
		case slices.Contains(ownHeaders, name):
			return fmt.Errorf("Header must not have %s", name)
		case slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }):
			return fmt.Errorf("Header must have valid values, that of %s is none", name)
		}
	}
	return nil
}
