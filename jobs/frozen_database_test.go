package jobs

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// freezer forwards connections to Postgres. The first that is to lock a backup, for the
// event of a journal write, is as if the network had dropped it from then on: it stays
// open, and nothing comes through.
type freezer struct{ frozen atomic.Bool }

// serve returns the address that stands for target.
func (f *freezer) serve(t *testing.T, network, target string) *net.TCPAddr {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { f.forward(t, client, network, target) })
		}
	})
	return l.Addr().(*net.TCPAddr)
}

func (f *freezer) forward(t *testing.T, client net.Conn, network, target string) {
	defer client.Close()
	server, err := net.Dial(network, target)
	if err != nil {
		return
	}
	defer server.Close()
	var dropped atomic.Bool
	go func() { // ends with the connections
		_, _ = io.Copy(writerFunc(func(p []byte) (int, error) {
			if dropped.Load() {
				return len(p), nil
			}
			return client.Write(p)
		}), server)
		if dropped.Load() { // Postgres has ended it, and the client isn't told
			<-t.Context().Done()
		}
		_ = client.Close()
	}()
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte("WHERE b.id = $1 FOR NO KEY UPDATE")) && f.frozen.CompareAndSwap(false, true) {
			dropped.Store(true)
			<-t.Context().Done()
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A connection that the network drops in silence costs the task that waits for its
// answer a lease's time, and no attempt.
func TestFrozenDatabaseConnection(t *testing.T) {
	f := new(freezer)
	b := setup(t, setupOptions{
		apis: []export.Options{{Name: "site", Size: 6 << 20, Fault: export.Fault{Rate: 2 << 20}}},
		config: func(c *backup.Config) {
			c.Providers[0].MaxAttempts = 1
			own := c.Pool.Config()
			network, target := "tcp", fmt.Sprintf("%s:%d", own.ConnConfig.Host, own.ConnConfig.Port)
			if strings.HasPrefix(own.ConnConfig.Host, "/") {
				network, target = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", own.ConnConfig.Host, own.ConnConfig.Port)
			}
			addr := f.serve(t, network, target)
			own.ConnConfig.Host, own.ConnConfig.Port, own.ConnConfig.Fallbacks = addr.IP.String(), uint16(addr.Port), nil
			own.MaxConns = 10 // the heartbeats and the next attempt have others
			pool, err := pgxpool.NewWithConfig(t.Context(), own)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			c.Pool = pool
		},
	})
	b.work(func(c *Config, _ *river.Config) { c.LeaseDuration = 3 * time.Second })
	id := b.start()
	b.eventually("a write to freeze", 30*time.Second, f.frozen.Load)
	got := b.wait(id)
	b.requireCopy(got)
	require.Equal(t, 1, got.Tasks[0].Attempt)
	require.Equal(t, backup.AttemptHanded, got.Tasks[0].Attempts[0].Outcome)
	b.requireSound()
}
