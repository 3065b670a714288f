package demo

import (
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

// Nothing that the server started runs on behind its end. Not parallel: other
// tests have goroutines of their own.
func TestRunLeavesNoGoroutine(t *testing.T) {
	database := envtest.Database(t)
	others := goleak.IgnoreCurrent()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, Run(t.Context(), &Options{
		Size: 1 << 20, Once: true, Dir: t.TempDir(), Listener: l, Database: database, Out: io.Discard, Log: slog.New(slog.DiscardHandler),
	}))
	goleak.VerifyNone(t, others)
}
