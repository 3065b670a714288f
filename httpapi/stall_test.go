package httpapi_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

// Who sends half a body and stops doesn't keep a connection: it is answered within
// the bound for bodies, which is 10 seconds, and the connection closed. An operation
// that wants no body waits for none.
func TestStalledBodies(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	id := b.startOne(t)
	for name, test := range map[string]struct {
		request string
		status  int
		within  time.Duration
	}{
		"with a length": {"POST /backup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"userId\":", 408, 15 * time.Second},
		"in chunks":     {"POST /backup/" + id + "/hold HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"re", 408, 15 * time.Second},
		"of no use":     {"POST /backup/" + id + "/release HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{", 200, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			require.NoError(t, conn.SetDeadline(time.Now().Add(test.within)))
			_, err = io.WriteString(conn, test.request)
			require.NoError(t, err)
			r := bufio.NewReader(conn)
			res, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, test.status, res.StatusCode, "%s", body)
			if test.status == http.StatusRequestTimeout {
				requireProblem(t, answer{res, body}, 408, httpapi.CodeTimeout)
			}
			_, err = r.ReadByte()
			require.Error(t, err)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is left open")
		})
	}
}

// Who asks with a wait and then reads nothing is dropped, as the server's own timeout
// for writing, which a wait puts off, would have it.
func TestPollsLeaveStalledReaders(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	labels := make(map[string]string)
	for i := range 32 {
		labels[strconv.Itoa(i)] = strings.Repeat("x", 255)
	}
	started, err := b.client.Start(t.Context(), backup.StartParams{UserID: "u", SiteID: "s", Labels: labels})
	require.NoError(t, err)
	handler, err := httpapi.NewHandler(b.client, &httpapi.Options{StallTimeout: 500 * time.Millisecond})
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(handler)
	server.Listener = smallBuffers{server.Listener}
	server.Config.WriteTimeout = 500 * time.Millisecond
	closed := make(chan struct{}, 1)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	go func() {
		for range 2000 { // more than the buffers take, 8 KiB each
			if _, err := io.WriteString(conn, "GET /backup/"+started.ID+"?wait=1s HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				return
			}
		}
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		require.Fail(t, "the connection is left open")
	}
}
