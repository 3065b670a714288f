package jobs

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// longRows are sources that send more than they announce.
func longRows(t *testing.T) []misbehavior {
	t.Helper()
	const announced = misbehavingSize - 1000
	text := func(header string) answer {
		header = "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\n" + header
		return verbatim(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", header, announced, original()), announced)
	}
	url, trust := http2Source(t, announced)
	return []misbehavior{
		// An HTTP/1.1 response has as many bytes as it announces; what follows them
		// on the connection isn't part of it (RFC 9112 §6.3). A digest tells.
		{name: "long", answers: []answer{text("")}, proof: backup.ProofLength, content: original()[:announced]},
		{
			name: "long-digest", answers: []answer{text("Content-Digest: " + sha256Field(original()) + "\r\n")},
			class: backup.ClassRetryable, message: "compare Content-Digest sha-256: expected",
		},
		{
			name: "long-http2", url: url, http: func(c *httpexport.Config) { c.TLS = trust }, unasked: true,
			class: backup.ClassRetryable, message: "more than declared Content-Length",
		},
	}
}

// http2Source is a source that speaks HTTP/2 by hand, since net/http wouldn't
// send more than it announces.
func http2Source(t *testing.T, announced int) (url string, trust *tls.Config) {
	t.Helper()
	certs := httptest.NewUnstartedServer(nil)
	certs.EnableHTTP2 = true
	certs.StartTLS()
	defer certs.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certs.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				_ = answerHTTP2(conn, announced)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		open.Wait()
	})
	return "https://" + l.Addr().String(), trustOf(certs)
}

// answerHTTP2 answers each request on conn with the export, until the client
// goes away. The client's windows are larger than the export.
func answerHTTP2(conn net.Conn, announced int) error {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	f := http2.NewFramer(conn, conn)
	if err := f.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			err = sendHTTP2(f, frame.StreamID, announced)
		}
		if err != nil {
			return err
		}
	}
}

func sendHTTP2(f *http2.Framer, stream uint32, announced int) error {
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for _, h := range []hpack.HeaderField{
		{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/x-tar"}, {Name: "content-length", Value: strconv.Itoa(announced)},
	} {
		if err := enc.WriteField(h); err != nil {
			return err
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	const most = 16 << 10
	for rest := original(); len(rest) > 0; {
		n := min(most, len(rest))
		if err := f.WriteData(stream, n == len(rest), rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
