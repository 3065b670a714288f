package main_test

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/env"
)

var notYetRE = regexp.MustCompile(`database is not reachable yet`)

// proxy stands between backupd and Postgres and can be cut.
type proxy struct {
	to string
	l  net.Listener

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{to: to, l: l, conns: make(map[net.Conn]bool)}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepting.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.set(true)
		accepting.Wait()
	})
	return p
}

func (p *proxy) serve(conn net.Conn) {
	server, err := net.Dial("tcp", p.to)
	if err != nil || !p.add(conn, server) {
		_ = conn.Close()
		return
	}
	var copying sync.WaitGroup
	copying.Go(func() { copyAndClose(server, conn) })
	copying.Go(func() { copyAndClose(conn, server) })
	copying.Wait()
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.cut {
			_ = c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.cut
}

// set cuts all connections and refuses new ones, or lets them through.
func (p *proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if cut {
		for c := range p.conns {
			_ = c.Close()
		}
		clear(p.conns)
	}
}

// While the database is away the API says so, and when it is back everything
// goes on by itself, the workers included.
func TestServeThroughAnOutage(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<20, "")
	u, err := url.Parse(s.database)
	require.NoError(t, err)
	database := newProxy(t, u.Host)
	u.Host = database.l.Addr().String()
	s.database = u.String()

	p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	api := p.ready()
	first := startBackup(t, api)
	requireStored(t, s, awaitBackup(t, api, first.ID))

	database.set(true)
	for range 3 {
		_, res := get(t, api+"/backup/"+first.ID)
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		require.Equal(t, "5", res.Header.Get("Retry-After"))
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	}
	_, res := get(t, api+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	_, res = get(t, api+"/healthz")
	require.Equal(t, http.StatusOK, res.StatusCode)

	database.set(false)
	poll(t, "ready again", func() bool {
		_, res := get(t, api+"/readyz")
		return res.StatusCode == http.StatusOK
	})
	second := startBackup(t, api)
	requireStored(t, s, awaitBackup(t, api, second.ID))
}

// A Postgres that is stopped and started again in the middle of a transfer costs
// the transfer nothing but time.
func TestServeThroughARestartOfPostgres(t *testing.T) {
	t.Parallel()
	opts := &env.PostgresOptions{Ways: []env.Way{env.Installed, env.Fetched}, Dir: postgresDir(t), Fast: true}
	var postgres *env.Postgres
	startPostgres := func() error {
		p, err := env.StartPostgres(t.Context(), opts)
		if err == nil {
			postgres = p
		}
		return err
	}
	require.NoError(t, orSkip(t, atStablePort(func(port int) error {
		opts.Port = port
		return startPostgres()
	})))
	t.Cleanup(func() { require.NoError(t, postgres.Close()) })
	s := setup(t, 12<<20, "workers: {partSize: 64KiB, journalInterval: 100ms, leaseDuration: 6s}\n", export.Fault{Rate: 4 << 20})
	s.database = postgres.URL

	p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	api := p.ready()
	started := startBackup(t, api)
	poll(t, "a journaled part", func() bool {
		b, _ := get(t, api+"/backup/"+started.ID)
		return b.Progress.StoredBytes > 0
	})
	require.NoError(t, postgres.Close())
	_, res := get(t, api+"/backup/"+started.ID)
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)

	require.NoError(t, again(t.Context(), startPostgres))
	poll(t, "the database again", func() bool {
		_, res := get(t, api+"/backup/"+started.ID)
		return res.StatusCode == http.StatusOK
	})
	requireStored(t, s, awaitBackup(t, api, started.ID))
}

// postgresDir is a directory that the user as which root runs Postgres can get
// to, unlike one of t.TempDir.
func postgresDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "backupd-postgres-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
