package httpexport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"syscall"
)

// sourceError is an error from below net/http that is safe to store. Its text
// holds nothing that the source sent, and it matches what its cause does. The
// cause is not unwrapped: its text is what must not get out.
type sourceError struct {
	text  string
	cause error
}

func (e *sourceError) Error() string { return e.text }

func (e *sourceError) Is(target error) bool {
	return errors.Is(e.cause, target)
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)

// safe makes an error safe to store. Package net/http quotes what it couldn't
// parse, which may be anything, and url.Error has the query. An error that
// matches io.EOF becomes io.ErrUnexpectedEOF: only an export's true end is
// io.EOF, and it doesn't come here.
func safe(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, io.EOF) {
		return &sourceError{text: "the connection ended early", cause: io.ErrUnexpectedEOF}
	}
	text := quoted.ReplaceAllString(err.Error(), `"…"`)
	if pe := textproto.ProtocolError(""); errors.As(err, &pe) {
		text, _, _ = strings.Cut(string(pe), ":") // it ends with the line that was wrong
	}
	return &sourceError{text: printable(text, 200), cause: err}
}

// printable returns at most n bytes of s, without what isn't graphic ASCII.
func printable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r != '…' && (r < ' ' || r > '~') {
			return '?'
		}
		return r
	}, s)
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

// describe names a request in errors: by its method and its URL without the query, which may
// hold a secret.
func describe(r *http.Request) string {
	bare := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	return r.Method + " " + printable(bare.String(), 400)
}

// networkHint says what to look at after a request that got no response.
func networkHint(err error) string {
	var (
		dns  *net.DNSError
		op   *net.OpError
		cert *tls.CertificateVerificationError
		nerr net.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return ""
	case errors.As(err, &dns):
		return "Check the host name in the provider's URL, and the resolver."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nothing listens at the source's address: check that it runs, and the port in the provider's URL."
	case errors.As(err, &cert):
		return "The source's certificate is not trusted, not for this host, or out of date."
	case errors.As(err, &op) && op.Op == "dial":
		return "The source can't be reached: check its address and the network."
	case errors.As(err, &nerr) && nerr.Timeout():
		return "The source took the connection but sent no answer in time: raise HeaderTimeout if its exports take longer to begin."
	}
	return "The connection to the source broke before an answer came."
}
