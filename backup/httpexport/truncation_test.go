package httpexport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// framings are the ways to frame a body of HTTP/1: the response of a source that
// sends n bytes of a body and breaks off, or all of it for n = len(body).
var framings = map[string]struct {
	response func(body string, n int) string
	size     bool // the length is announced
	framed   bool // the end is marked
}{
	"content-length": {size: true, response: func(body string, n int) string {
		return ok("Content-Length: "+strconv.Itoa(len(body))) + body[:n]
	}},
	"chunked": {framed: true, response: func(body string, n int) string {
		text := ok("Transfer-Encoding: chunked") + chunked(body[:n])
		if n == len(body) {
			text += "0\r\n\r\n"
		}
		return text
	}},
	"chunked, without the last line": {response: func(body string, n int) string {
		return ok("Transfer-Encoding: chunked") + chunked(body[:n]) + "0\r\n"
	}},
	"close-delimited": {response: func(body string, n int) string { return ok() + body[:n] }},
	"HTTP/1.0": {response: func(body string, n int) string {
		return strings.Replace(ok(), "HTTP/1.1", "HTTP/1.0", 1) + body[:n]
	}},
	"gzip, content-length": {size: true, response: func(body string, n int) string {
		return ok("Content-Encoding: gzip", "Content-Length: "+strconv.Itoa(len(body))) + body[:n]
	}},
	"gzip, close-delimited": {response: func(body string, n int) string {
		return ok("Content-Encoding: gzip") + body[:n]
	}},
}

// TestTruncation cuts a body at several places, in each framing, over TCP and
// over TLS without close_notify: either the body ends with an error, or nothing
// claims that its end was proven.
func TestTruncation(t *testing.T) {
	t.Parallel()
	for name, f := range framings {
		body := content
		if strings.HasPrefix(name, "gzip") {
			body = gzipped(t, content)
		}
		for _, n := range []int{0, 1, len(body) / 2, len(body) - 1, len(body)} {
			for _, transport := range []string{"tcp", "tls"} {
				t.Run(fmt.Sprintf("%s/%s/%d of %d", name, transport, n, len(body)), func(t *testing.T) {
					t.Parallel()
					text := f.response(body, n)
					p := raw(t, text, allowEncoded)
					if transport == "tls" {
						p = rawTLS(t, text)
					}
					e, err := p.Export(t.Context(), request())
					require.NoError(t, err)
					require.Equal(t, f.size, e.Size == int64(len(body)))
					got, err := read(t, e)
					require.Equal(t, body[:n], got)
					unmarked := strings.HasPrefix(name, "chunked, without")
					switch {
					case f.size && n < len(body), f.framed && n < len(body):
						require.ErrorIs(t, err, io.ErrUnexpectedEOF)
						requireClass(t, backup.ClassRetryable, err)
						_, err := e.End()
						require.Error(t, err)
					case unmarked:
						require.Error(t, err)
					default:
						require.NoError(t, err)
						end, err := e.End()
						require.NoError(t, err)
						require.Equal(t, backup.End{Framed: f.framed}, end)
					}
				})
			}
		}
	}
}

func allowEncoded(c *httpexport.Config) { c.AllowEncoded = true }

func requireClass(t *testing.T, want backup.Class, err error) {
	t.Helper()
	require.Equal(t, want, backup.Classify(err).Class, "%v", err)
}

// rawTLS is raw over TLS; it closes the connection below TLS, so that no
// close_notify is sent.
func rawTLS(t *testing.T, text string) *httpexport.Provider {
	t.Helper()
	certs := httptest.NewUnstartedServer(nil)
	certs.StartTLS()
	defer certs.Close()
	l := tls.NewListener(listen(t), &tls.Config{Certificates: certs.TLS.Certificates})
	addr := rawServer(t, l, func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_ = conn.(*tls.Conn).NetConn().Close()
	})
	return newProvider(t, "https://"+addr+template, func(c *httpexport.Config) {
		c.TLS = certs.Client().Transport.(*http.Transport).TLSClientConfig
		c.AllowEncoded = true
	})
}

// TestTruncationHTTP2 resets streams.
func TestTruncationHTTP2(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, len(content) / 2, len(content) - 1, len(content)} {
		for _, announced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d, announced %t", n, announced), func(t *testing.T) {
				t.Parallel()
				p := serveH2(t, func(w http.ResponseWriter, _ *http.Request) {
					if announced {
						w.Header().Set("Content-Length", strconv.Itoa(len(content)))
					}
					_, _ = io.WriteString(w, content[:n])
					w.(http.Flusher).Flush()
					if n < len(content) || !announced {
						panic(http.ErrAbortHandler)
					}
				}, nil)
				e, err := p.Export(t.Context(), request())
				require.NoError(t, err)
				got, err := read(t, e)
				require.Equal(t, content[:n], got)
				if n == len(content) && announced {
					require.NoError(t, err)
					return
				}
				require.Error(t, err)
				requireClass(t, backup.ClassRetryable, err)
			})
		}
	}
}

func TestHTTP2EndIsFramed(t *testing.T) {
	t.Parallel()
	p := serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, 2, r.ProtoMajor)
		w.Header().Set("Content-Type", "application/zip")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, content)
	}, nil)
	e, end := whole(t, p, request())
	require.EqualValues(t, -1, e.Size)
	require.Equal(t, backup.End{Framed: true}, end)
}

// TestBrokenFraming sends bodies that are no cut ones, but wrong.
func TestBrokenFraming(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"chunk of no size":  ok("Transfer-Encoding: chunked") + "secret\r\n",
		"chunk too short":   ok("Transfer-Encoding: chunked") + "5\r\nabcdefgh\r\n0\r\n\r\n",
		"bad trailer":       ok("Transfer-Encoding: chunked") + "1\r\na\r\n0\r\nsecret without colon\r\n\r\n",
		"HTTP/2 in HTTP/1":  ok("Transfer-Encoding: chunked") + "\x00\x00\x04secret",
		"huge chunk length": ok("Transfer-Encoding: chunked") + "fffffffffffffffff\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := raw(t, text, nil).Export(t.Context(), request())
			require.NoError(t, err)
			_, err = read(t, e)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
			requireClass(t, backup.ClassRetryable, err)
		})
	}
}

func TestCancelEndsABlockedRead(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, http.HandlerFunc, func(*httpexport.Config)) *httpexport.Provider{
		"HTTP/1": serve, "HTTP/2": serveH2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			e, err := p.Export(ctx, request())
			require.NoError(t, err)
			_, err = e.Body.Read(make([]byte, 10))
			require.NoError(t, err)
			failed := make(chan error, 1)
			go func() {
				_, err := e.Body.Read(make([]byte, 10))
				failed <- err
			}()
			cancel()
			err = <-failed
			require.ErrorIs(t, err, ctx.Err())
			require.NoError(t, e.Body.Close())
		})
	}
}
