package jobs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// truncatedSize is how long the exports are that the truncation table cuts.
const truncatedSize = 5 << 20

// noise is what they hold.
var noise = sync.OnceValue(func() []byte {
	data, err := io.ReadAll(export.NewReader(export.Options{Size: truncatedSize}, userID, siteID))
	if err != nil {
		panic(err)
	}
	return data
})

// zipped is noise as a source sends it that codes it with gzip. Noise grows.
var zipped = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(noise())
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes()
})

// cutSite is the site whose export breaks off after n bytes.
func cutSite(n int) string { return fmt.Sprintf("cut-%d", n) }

// cutOf is where the export of a request breaks off.
func cutOf(r *http.Request) (n int, ok bool) {
	n, err := strconv.Atoi(r.URL.Path[strings.LastIndex(r.URL.Path, "-")+1:])
	return n, err == nil
}

// rawSource is a source that answers each connection's one request with answer,
// byte for byte; over TLS if that is set.
func rawSource(t *testing.T, secure bool, answer func(net.Conn, *http.Request)) (url string, trust *tls.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	scheme := "http"
	if secure {
		certs := httptest.NewUnstartedServer(nil)
		certs.StartTLS()
		defer certs.Close()
		scheme, trust = "https", trustOf(certs)
		l = tls.NewListener(l, &tls.Config{Certificates: certs.TLS.Certificates, MinVersion: tls.VersionTLS12})
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(conn, r)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		open.Wait()
	})
	return scheme + "://" + l.Addr().String(), trust
}

func trustOf(s *httptest.Server) *tls.Config {
	return s.Client().Transport.(*http.Transport).TLSClientConfig
}

// answerHTTP1 sends a body that breaks off where the request says, and ends the
// connection: with a FIN, without TLS's close_notify, or with a RST.
func (f *framing) answerHTTP1(conn net.Conn, r *http.Request) {
	n, ok := cutOf(r)
	if !ok {
		return
	}
	body := f.body()
	head := []string{"HTTP/1.1 200 OK", "Content-Type: application/x-tar", "Connection: close"}
	if f.gzip {
		head = append(head, "Content-Encoding: gzip")
	}
	switch f.end {
	case "length":
		head = append(head, fmt.Sprintf("Content-Length: %d", len(body)))
	case "chunked":
		head = append(head, "Transfer-Encoding: chunked")
	}
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		return
	}
	if f.end == "chunked" {
		writeChunked(conn, body, n)
	} else {
		_, _ = conn.Write(body[:n])
	}
	if secure, ok := conn.(*tls.Conn); ok {
		_ = secure.NetConn().Close() // below TLS: there is no close_notify
	} else if f.reset && n < len(body) {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

// writeChunked sends n bytes of body in chunks. A chunk in which it ends was
// announced in full, and the terminal chunk follows the whole body only.
func writeChunked(w io.Writer, body []byte, n int) {
	const most = 48 << 10
	for at := 0; at < n; at += most {
		size := min(most, len(body)-at)
		_, _ = fmt.Fprintf(w, "%x\r\n", size)
		if n < at+size {
			_, _ = w.Write(body[at:n])
			return
		}
		_, _ = w.Write(body[at : at+size])
		_, _ = io.WriteString(w, "\r\n")
	}
	if n == len(body) {
		_, _ = io.WriteString(w, "0\r\n\r\n")
	}
}

// serveHTTP2 sends a body and resets the stream where the request says.
func (f *framing) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	n, ok := cutOf(r)
	if !ok || r.ProtoMajor != 2 {
		http.Error(w, "this is no request for a cut export over HTTP/2", http.StatusBadRequest)
		return
	}
	body := f.body()
	w.Header().Set("Content-Type", "application/x-tar")
	if f.end == "length" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	_ = http.NewResponseController(w).Flush()
	_, _ = w.Write(body[:n])
	if n < len(body) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}
