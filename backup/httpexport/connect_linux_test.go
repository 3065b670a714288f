package httpexport_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// TestConnectTimeout connects to a listener whose queue is full: Linux drops what
// else comes, as a firewall would.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Close(fd)) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	addr, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port)
	for full := false; !full; {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if full = err != nil; !full {
			t.Cleanup(func() { require.NoError(t, conn.Close()) })
		}
	}
	p := newProvider(t, "http://"+address+template, func(c *httpexport.Config) { c.ConnectTimeout = 50 * time.Millisecond })
	failure := fails(t, p, request())
	require.Equal(t, backup.ClassRetryable, failure.Class)
	require.ErrorContains(t, failure, "i/o timeout")
	require.Contains(t, failure.Hint, "can't be reached")
}
