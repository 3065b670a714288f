package env

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// query runs one statement that returns one text.
func query(t *testing.T, url, statement string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var answer string
	require.NoError(t, conn.QueryRow(t.Context(), statement).Scan(&answer))
	return answer
}

// start starts a Postgres that the test stops at its end if it has not before.
func start(t *testing.T, o PostgresOptions) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), &o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func TestPostgresFetched(t *testing.T) {
	t.Parallel()
	cache, _ := fetched(t)
	p := start(t, PostgresOptions{Ways: []Way{Fetched}, CacheDir: cache, Fast: true})
	require.Contains(t, p.Source, "@embedded-postgres/")
	require.Equal(t, "UTF8", query(t, p.URL, "SHOW server_encoding"))
	require.Equal(t, "off", query(t, p.URL, "SHOW fsync"))
	require.NoError(t, p.Close())
	require.NoError(t, p.Close(), "a second time")
	require.Error(t, pingPostgres(t.Context(), p.URL))
}

func TestPostgresInstalled(t *testing.T) {
	_, b := fetched(t)
	t.Setenv("PATH", b.dir)
	p := start(t, PostgresOptions{Ways: []Way{Installed}})
	require.Contains(t, p.Source, b.dir, "the PATH is looked at first")
	require.Equal(t, "on", query(t, p.URL, "SHOW fsync"), "not Fast")
}

func TestPostgresOfOldVersionIsRefused(t *testing.T) {
	dir := openDir(t)
	for _, name := range []string{"postgres", "initdb"} {
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) 9.6.24'\n"
		writeProgram(t, filepath.Join(dir, name), []byte(script))
	}
	_, err := inspectBinaries(t.Context(), dir)
	require.ErrorContains(t, err, "PostgreSQL 9 in "+dir+" is older than 14")
}

func TestPostgresGiven(t *testing.T) {
	t.Parallel()
	p, err := StartPostgres(t.Context(), &PostgresOptions{URL: "postgres://elsewhere/db"})
	require.NoError(t, err)
	require.Equal(t, "postgres://elsewhere/db", p.URL)
	require.NoError(t, p.Close())
}

func TestPostgresPasswordIsAsked(t *testing.T) {
	t.Parallel()
	cache, _ := fetched(t)
	p := start(t, PostgresOptions{Ways: []Way{Fetched}, CacheDir: cache, Fast: true})
	u, err := url.Parse(p.URL)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", u.Hostname())
	u.User = url.UserPassword(u.User.Username(), "wrong")
	require.ErrorContains(t, pingPostgres(t.Context(), u.String()), "password authentication failed")
}

func TestPostgresKeepsItsDirectory(t *testing.T) {
	t.Parallel()
	cache, _ := fetched(t)
	o := PostgresOptions{Ways: []Way{Fetched}, CacheDir: cache, Fast: true, Dir: filepath.Join(openDir(t), "new")}
	first := startAtStablePort(t, &o)
	query(t, first.URL, "SELECT lo_from_bytea(4242, 'kept')::text")

	_, err := StartPostgres(t.Context(), &o)
	require.ErrorIs(t, err, errInUse)

	require.NoError(t, first.Close())
	second := start(t, o)
	require.Equal(t, first.URL, second.URL, "the same port and password")
	require.Equal(t, "kept", query(t, second.URL, "SELECT convert_from(lo_get(4242), 'UTF8')"))
}

// startAtStablePort starts a Postgres on a port that the system gives to nobody
// who asks for any, so that another one can start there, and puts it in o.
func startAtStablePort(t *testing.T, o *PostgresOptions) *Postgres {
	t.Helper()
	for range 100 {
		o.Port = 15000 + rand.IntN(15000)
		if p, err := StartPostgres(t.Context(), o); !errors.Is(err, ErrPortTaken) {
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, p.Close()) })
			return p
		}
	}
	require.Fail(t, "no free port")
	return nil
}

// listen takes a port for the test's time.
func listen(t *testing.T) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestPostgresPortTaken(t *testing.T) {
	t.Parallel()
	cache, b := fetched(t)
	taken := listen(t)
	_, err := StartPostgres(t.Context(), &PostgresOptions{Ways: []Way{Fetched}, CacheDir: cache, Fast: true, Port: taken})
	require.ErrorIs(t, err, ErrPortTaken, "the port that was asked for")
	require.ErrorContains(t, err, "Address already in use", "the server's own words")

	c, err := openCluster(t.Context(), b, &PostgresOptions{Fast: true, Tries: 2})
	require.NoError(t, err)
	ports := []int{taken, 0}
	c.freePort = func(ctx context.Context) (int, error) {
		port := ports[0]
		if ports = ports[1:]; port == 0 {
			return freePort(ctx)
		}
		return port, nil
	}
	require.NoError(t, c.start(t.Context()), "another port is tried")
	require.NotEqual(t, taken, c.port)
	require.NoError(t, c.stop(t.Context()))
}

func TestPostgresStartIsBoundByContext(t *testing.T) {
	t.Parallel()
	cache, _ := fetched(t)
	dir := openDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := StartPostgres(ctx, &PostgresOptions{Ways: []Way{Fetched, Docker}, CacheDir: cache, Dir: dir})
	require.ErrorIs(t, err, context.Canceled)
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.Len(t, unavailable.Tried, 1, "no other way is tried")
	require.NoDirExists(t, filepath.Join(dir, "data"))
}

func TestPostgresUnavailable(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := StartPostgres(t.Context(), &PostgresOptions{Ways: []Way{Fetched, Docker}, CacheDir: t.TempDir()})
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.Len(t, unavailable.Tried, 2)
	require.ErrorIs(t, err, exec.ErrNotFound)
	for _, part := range []string{"fetched: ", `"npm"`, "docker: ", `"docker"`, "apt-get install postgresql", "DATABASE_URL"} {
		require.ErrorContains(t, err, part)
	}
}

func TestPostgresUnknownWay(t *testing.T) {
	t.Parallel()
	_, err := StartPostgres(t.Context(), &PostgresOptions{Ways: []Way{"magic"}})
	require.ErrorContains(t, err, `"magic"`)
}
