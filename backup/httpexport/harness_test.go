package httpexport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is what the sources in these tests export.
var content = strings.Repeat("All backups are equal, but some have been restored. ", 400)

const template = "/export/{userId}/{siteId}"

func request() *backup.ExportRequest {
	return &backup.ExportRequest{BackupID: "b1", UserID: "u1", SiteID: "s1", Provider: "site"}
}

func resumeAt(offset int64, validator string) *backup.ExportRequest {
	req := request()
	req.Offset, req.Validator = offset, validator
	return req
}

// newProvider returns a provider whose connections end with the test. Set
// changes its configuration.
func newProvider(t *testing.T, url string, set func(*httpexport.Config)) *httpexport.Provider {
	t.Helper()
	c := &httpexport.Config{URL: url}
	if set != nil {
		set(c)
	}
	p, err := httpexport.New(c)
	require.NoError(t, err)
	t.Cleanup(p.CloseIdleConnections)
	return p
}

// serve starts a server, and returns a provider for it.
func serve(t *testing.T, h http.HandlerFunc, set func(*httpexport.Config)) *httpexport.Provider {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return newProvider(t, server.URL+template, set)
}

// serveH2 starts an HTTP/2 server, and returns a provider for it.
func serveH2(t *testing.T, h http.HandlerFunc, set func(*httpexport.Config)) *httpexport.Provider {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return newProvider(t, server.URL+template, func(c *httpexport.Config) {
		c.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
		if set != nil {
			set(c)
		}
	})
}

// rawServer accepts connections and calls answer on each behind the header of
// its request. It returns the address; connections end with answer.
func rawServer(t *testing.T, l net.Listener, answer func(net.Conn)) string {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(conn)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// raw returns a provider for a source that answers each request with text, byte
// for byte, and closes the connection.
func raw(t *testing.T, text string, set func(*httpexport.Config)) *httpexport.Provider {
	t.Helper()
	addr := rawServer(t, listen(t), func(conn net.Conn) { _, _ = io.WriteString(conn, text) })
	return newProvider(t, "http://"+addr+template, set)
}

// read reads an export to its end and closes it.
func read(t *testing.T, e *backup.Export) (string, error) {
	t.Helper()
	defer func() { require.NoError(t, e.Body.Close()) }()
	var b strings.Builder
	buf := make([]byte, 1000)
	for {
		n, err := e.Body.Read(buf)
		b.Write(buf[:n])
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			require.NotErrorIs(t, err, io.EOF)
			_, again := e.Body.Read(buf)
			require.Equal(t, err, again, "the error stays")
			return b.String(), err
		}
	}
}

// whole asks for an export, and requires that its body is the content.
func whole(t *testing.T, p *httpexport.Provider, req *backup.ExportRequest) (*backup.Export, backup.End) {
	t.Helper()
	e, err := p.Export(t.Context(), req)
	require.NoError(t, err)
	got, err := read(t, e)
	require.NoError(t, err)
	require.Equal(t, content[e.Offset:], got)
	var end backup.End
	if e.End != nil {
		end, err = e.End()
		require.NoError(t, err)
	}
	return e, end
}

// fails asks for an export and returns the error.
func fails(t *testing.T, p *httpexport.Provider, req *backup.ExportRequest) *backup.ClassError {
	t.Helper()
	e, err := p.Export(t.Context(), req)
	if err == nil {
		_ = e.Body.Close()
	}
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF)
	return backup.Classify(err)
}

func ok(headers ...string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

// chunked returns s in chunked coding up to, but without, the terminal chunk.
func chunked(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := min(len(s), 700)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, s[:n])
		s = s[n:]
	}
	return b.String()
}

var errAuthorize = errors.New("no credential for this site")

func bearer(_ context.Context, r *http.Request, req *backup.ExportRequest) error {
	r.Header.Set("Authorization", "Bearer secret-of-"+req.UserID)
	r.Header.Set("X-Api-Key", "key-of-"+req.SiteID)
	return nil
}
