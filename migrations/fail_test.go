package migrations_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

// broken has a second migration that fails in its last statement.
func broken() fstest.MapFS {
	files := three()
	files["sql/0002_b.up.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE {{schema}}.b (x int); SELECT 1/0`)}
	return files
}

func TestFailedMigrationLeavesNothingOfItself(t *testing.T) {
	t.Parallel()
	pool := database(t)
	applied, err := migrations.UpFrom(t.Context(), broken(), pool, in("backup"))
	require.ErrorContains(t, err, "apply migration 2 (b): ERROR: division by zero")
	require.Len(t, applied, riverVersions+1)
	require.Equal(t, migrations.Applied{Line: migrations.LineBackup, Version: 1, Name: "a"}, applied[riverVersions])
	require.Equal(t, []string{"a", "backup_migration"}, ownTables(t, pool))

	applied, err = migrations.UpFrom(t.Context(), three(), pool, in("backup"))
	require.NoError(t, err)
	require.Len(t, applied, 2, "it goes on where it stopped")
}

func TestFailedFirstMigrationLeavesNoLedger(t *testing.T) {
	t.Parallel()
	pool := database(t)
	files := fstest.MapFS{
		"sql/0001_a.up.sql":   {Data: []byte(`CREATE TABLE {{schema}}.a (x nonsense)`)},
		"sql/0001_a.down.sql": {Data: []byte(`DROP TABLE {{schema}}.a`)},
	}
	_, err := migrations.UpFrom(t.Context(), files, pool, in("backup"))
	require.ErrorContains(t, err, "apply migration 1 (a): ")
	require.Empty(t, ownTables(t, pool))
	_, err = migrations.UpFrom(t.Context(), three(), pool, in("backup"))
	require.NoError(t, err)
}

func TestFailedDownLeavesTheMigrationInPlace(t *testing.T) {
	t.Parallel()
	pool := database(t)
	files := three()
	_, err := migrations.UpFrom(t.Context(), files, pool, in("backup"))
	require.NoError(t, err)
	files["sql/0002_b.down.sql"] = &fstest.MapFile{Data: []byte(`DROP TABLE {{schema}}.b; SELECT 1/0`)}

	reverted, err := migrations.DownFrom(t.Context(), files, pool, in("backup"), migrations.DownOptions{All: true, RiverToo: true})
	require.ErrorContains(t, err, "revert migration 2 (b): ERROR: division by zero")
	require.Equal(t, []migrations.Applied{{Line: migrations.LineBackup, Version: 3, Name: "c"}}, reverted)
	require.Equal(t, []string{"a", "b", "backup_migration"}, ownTables(t, pool))
}

// A failing migration of River's names its version, and ours are not run.
func TestFailedRiverMigration(t *testing.T) {
	t.Parallel()
	pool := database(t)
	exec(t, pool, `CREATE SCHEMA backup; CREATE TABLE backup.river_queue (x int)`) // in the way of version 4
	_, err := migrations.Up(t.Context(), pool, in("backup"))
	require.ErrorContains(t, err, "migrate river up: ")
	require.ErrorContains(t, err, "version 004")
	require.Empty(t, ownTables(t, pool))

	exec(t, pool, `DROP TABLE backup.river_queue`)
	require.Equal(t, 4, up(t, pool, in("backup"))[0].Version)
}

// sleepy has a second migration that does not end.
func sleepy() fstest.MapFS {
	files := three()
	files["sql/0002_b.up.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE {{schema}}.b (x int); SELECT pg_sleep(600)`)}
	return files
}

// interrupt runs sleepy migrations and calls stop when they sleep. It returns
// what the interrupted Up returned.
func interrupt(ctx context.Context, t *testing.T, pool, other *pgxpool.Pool, stop func()) error {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		_, err := migrations.UpFrom(ctx, sleepy(), pool, in("backup"))
		result <- err
	}()
	require.Eventually(t, func() bool {
		return len(texts(t, other, `SELECT query FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%pg_sleep%'`)) > 0
	}, time.Minute, 10*time.Millisecond)
	stop()
	return <-result
}

// requireGoesOn shows that the next Up is neither hindered by what was
// interrupted, nor finds any of it.
func requireGoesOn(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	applied, err := migrations.UpFrom(ctx, three(), pool, in("backup"))
	require.NoError(t, err)
	require.Len(t, applied, 2)
}

func TestCancelInTheMiddleOfAMigration(t *testing.T) {
	t.Parallel()
	db := envtest.EmptyDatabase(t)
	pool, other := connect(t, db, 2, nil), connect(t, db, 3, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := interrupt(ctx, t, pool, other, cancel)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "apply migration 2 (b): ")
	requireGoesOn(t, other)
}

// A process that is killed says nothing to the server: its connections end, and
// no request to cancel the statement follows.
func TestKilledInTheMiddleOfAMigration(t *testing.T) {
	t.Parallel()
	db := envtest.EmptyDatabase(t)
	other := connect(t, db, 3, nil)
	config, err := pgxpool.ParseConfig(db)
	require.NoError(t, err)
	var lines wires
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return lines.add(dial(ctx, network, address))
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	require.Error(t, interrupt(t.Context(), t, pool, other, lines.cut))
	requireGoesOn(t, other)
}

// wires are connections that can be cut together, after which there are none.
type wires struct {
	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func (w *wires) add(conn net.Conn, err error) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && w.dead {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
	for _, conn := range w.conns {
		_ = conn.Close()
	}
}
