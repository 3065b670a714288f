package httpapi_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
