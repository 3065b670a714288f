package httpexport_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

func TestRefusedConnection(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "http://127.0.0.1:1"+template+"?key=secret", nil) // a port that no program is given
	err := fails(t, p, request())
	require.Equal(t, backup.ClassRetryable, err.Class)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.Contains(t, err.Hint, "Nothing listens")
	require.NotContains(t, err.Error(), "secret")
}

func TestUnknownHost(t *testing.T) {
	t.Parallel()
	err := fails(t, newProvider(t, "http://no-such-host.invalid/x", nil), request())
	require.Equal(t, backup.ClassRetryable, err.Class)
	require.Contains(t, err.Hint, "Check the host name")
}

func TestSourceThatClosesAtOnce(t *testing.T) {
	t.Parallel()
	err := fails(t, raw(t, "", nil), request())
	require.Equal(t, backup.ClassRetryable, err.Class)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "the connection ended early")
}

func TestSourceThatNeverAnswers(t *testing.T) {
	t.Parallel()
	short := func(c *httpexport.Config) { c.HeaderTimeout = 20 * time.Millisecond }
	for name, start := range map[string]func(*testing.T, http.HandlerFunc, func(*httpexport.Config)) *httpexport.Provider{
		"HTTP/1": serve, "HTTP/2": serveH2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, short)
			err := fails(t, p, request())
			require.Equal(t, backup.ClassRetryable, err.Class)
			require.ErrorContains(t, err, "timeout awaiting response headers")
			require.Contains(t, err.Hint, "raise HeaderTimeout")
		})
	}
}

// TestNoTimeoutCutsABody that comes piece by piece, and takes longer than all
// timeouts together.
func TestNoTimeoutCutsABody(t *testing.T) {
	t.Parallel()
	const timeout, pieces = 300 * time.Millisecond, 12
	for name, start := range map[string]func(*testing.T, http.HandlerFunc, func(*httpexport.Config)) *httpexport.Provider{
		"HTTP/1": serve, "HTTP/2": serveH2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tick := time.NewTicker(4 * timeout / pieces)
			defer tick.Stop()
			p := start(t, func(w http.ResponseWriter, r *http.Request) {
				for i := range pieces {
					_, _ = io.WriteString(w, content[i*len(content)/pieces:(i+1)*len(content)/pieces])
					w.(http.Flusher).Flush()
					select {
					case <-tick.C:
					case <-r.Context().Done():
						return
					}
				}
			}, func(c *httpexport.Config) {
				c.ConnectTimeout, c.TLSTimeout, c.HeaderTimeout, c.SizeTimeout = timeout, timeout, timeout, timeout
			})
			whole(t, p, request())
		})
	}
}

// TestConnectionsOfHTTP1AreUsedOnce: what a source sends behind the length that it
// announced could be taken for its answer to a request for another export, and
// net/http would log it.
func TestConnectionsOfHTTP1AreUsedOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		start       func(*testing.T, http.HandlerFunc, func(*httpexport.Config)) *httpexport.Provider
		connections int
	}{"HTTP/1": {serve, 3}, "HTTP/2": {serveH2, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen []string
			p := tt.start(t, func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, r.RemoteAddr)
				if r.Header.Get("Connection") != "" {
					w.WriteHeader(http.StatusTeapot) // some servers send no chunks to those who close
				}
				_, _ = io.WriteString(w, content)
			}, nil)
			for range 3 {
				whole(t, p, request())
			}
			require.Len(t, seen, 3)
			require.Len(t, slices.Compact(seen), tt.connections)
		})
	}
}

func TestTLSHandshakeTimeout(t *testing.T) {
	t.Parallel()
	l := listen(t)
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			accepted <- conn
		}
	}()
	p := newProvider(t, "https://"+l.Addr().String()+template, func(c *httpexport.Config) { c.TLSTimeout = 20 * time.Millisecond })
	err := fails(t, p, request())
	require.Equal(t, backup.ClassRetryable, err.Class)
	require.ErrorContains(t, err, "TLS handshake timeout")
	require.NoError(t, (<-accepted).Close())
	require.NoError(t, l.Close())
}

func TestCertificateThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	err := fails(t, newProvider(t, server.URL+template, nil), request())
	require.Equal(t, backup.ClassRetryable, err.Class)
	require.Contains(t, err.Hint, "certificate")
}

func TestCanceledExport(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	_, err := p.Export(ctx, request())
	require.ErrorIs(t, err, context.Canceled)
}

func TestAuthorizeFails(t *testing.T) {
	t.Parallel()
	var requests int
	for _, tt := range []struct {
		err   error
		class backup.Class
	}{
		{errAuthorize, backup.ClassRetryable},
		{backup.Permanent(errAuthorize, "Add one."), backup.ClassPermanent},
	} {
		p := serve(t, func(http.ResponseWriter, *http.Request) { requests++ }, func(c *httpexport.Config) {
			c.Authorize = func(context.Context, *http.Request, *backup.ExportRequest) error { return tt.err }
		})
		err := fails(t, p, request())
		require.Equal(t, tt.class, err.Class)
		require.ErrorIs(t, err, errAuthorize)
		require.ErrorContains(t, err, "authorize GET http://127.0.0.1:")
	}
	require.Zero(t, requests)
}

func TestAuthorizeMaySignAndNotChangeTheTransfer(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		_, _ = io.WriteString(w, content)
	}, func(c *httpexport.Config) {
		c.Authorize = func(_ context.Context, r *http.Request, req *backup.ExportRequest) error {
			r.URL.RawQuery = url.Values{"signature": {"over " + r.Header.Get("Range")}}.Encode()
			r.Header.Set("Accept-Encoding", "gzip")
			r.Header.Set("Range", "bytes=7-")
			req.Offset = 7
			return nil
		}
	})
	req := resumeAt(10, `"v1"`)
	whole(t, p, req)
	r := <-seen
	require.Equal(t, "over bytes=10-", r.URL.Query().Get("signature"))
	require.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
	require.Equal(t, "bytes=10-", r.Header.Get("Range"))
	require.EqualValues(t, 10, req.Offset)
}

func TestProxy(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "source.example", r.URL.Host)
		_, _ = io.WriteString(w, content)
	}))
	t.Cleanup(proxy.Close)
	p := newProvider(t, "http://source.example"+template, func(c *httpexport.Config) {
		c.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	})
	whole(t, p, request())

	p = newProvider(t, "http://source.example"+template, func(c *httpexport.Config) {
		c.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy today") }
	})
	require.ErrorContains(t, fails(t, p, request()), "no proxy today")
}
