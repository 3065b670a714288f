package migrations_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/migrations"
)

// warned runs a function at the first warning.
type warned struct {
	slog.Handler
	then func()
}

func (h *warned) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn && h.then != nil {
		h.then()
		h.then = nil
	}
	return nil
}

func (*warned) Enabled(context.Context, slog.Level) bool { return true }

// lockedTable is a database with the first migration, whose table somebody's open
// transaction reads, and migrations of which the second needs it alone.
func lockedTable(t *testing.T) (*pgxpool.Pool, fstest.MapFS, pgx.Tx) {
	t.Helper()
	files := fstest.MapFS{
		"sql/0001_a.up.sql":   {Data: []byte(`CREATE TABLE {{schema}}.a (x int)`)},
		"sql/0001_a.down.sql": {Data: []byte(`DROP TABLE {{schema}}.a`)},
	}
	pool := database(t)
	_, err := migrations.UpFrom(t.Context(), files, pool, in("backup"))
	require.NoError(t, err)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	_, err = tx.Exec(t.Context(), `SELECT FROM backup.a`)
	require.NoError(t, err)
	files["sql/0002_b.up.sql"] = &fstest.MapFile{Data: []byte(`ALTER TABLE {{schema}}.a ADD COLUMN y int`)}
	files["sql/0002_b.down.sql"] = &fstest.MapFile{Data: []byte(`ALTER TABLE {{schema}}.a DROP COLUMN y`)}
	return pool, files, tx
}

// A migration that waits for a table doesn't hold up everybody behind it for long: it
// lets go, and at last says what to look for.
func TestMigrationGivesUpOnALockedTable(t *testing.T) {
	t.Parallel()
	pool, files, _ := lockedTable(t)
	applied, err := migrations.UpImpatiently(t.Context(), files, pool, in("backup"))
	require.Empty(t, applied)
	require.ErrorContains(t, err, "apply migration 2 (b): tables are locked by another transaction, tried 2 times for 100ms: look in pg_stat_activity")
	exec(t, pool, `SELECT FROM backup.a`)
}

func TestMigrationTriesALockedTableAgain(t *testing.T) {
	t.Parallel()
	pool, files, tx := lockedTable(t)
	config := in("backup")
	config.Logger = slog.New(&warned{slog.DiscardHandler, func() { _ = tx.Rollback(t.Context()) }})
	applied, err := migrations.UpImpatiently(t.Context(), files, pool, config)
	require.NoError(t, err)
	require.Len(t, applied, 1)
}

// A migration that takes two tables in the other order than somebody's transaction is
// tried again when it is the one that Postgres ends.
func TestMigrationTriesAgainAfterADeadlock(t *testing.T) {
	t.Parallel()
	pool, files, tx := lockedTable(t)
	files["sql/0002_b.up.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE {{schema}}.b (x int)`)}
	files["sql/0002_b.down.sql"] = &fstest.MapFile{Data: []byte(`DROP TABLE {{schema}}.b`)}
	_, err := migrations.UpFrom(t.Context(), files, pool, in("backup"))
	require.NoError(t, err)
	files["sql/0003_c.up.sql"] = &fstest.MapFile{Data: []byte(`ALTER TABLE {{schema}}.b ADD COLUMN y int; ALTER TABLE {{schema}}.a ADD COLUMN y int`)}
	files["sql/0003_c.down.sql"] = &fstest.MapFile{Data: []byte(`ALTER TABLE {{schema}}.a DROP COLUMN y; ALTER TABLE {{schema}}.b DROP COLUMN y`)}
	_, err = tx.Exec(t.Context(), `SET LOCAL deadlock_timeout = '1min'`) // it isn't the one
	require.NoError(t, err)
	migrated := make(chan error, 1)
	go func() {
		_, err := migrations.UpFrom(t.Context(), files, pool, in("backup"))
		migrated <- err
	}()
	require.Eventually(t, func() bool {
		var waits bool
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'backup.a'::regclass AND NOT granted)`).Scan(&waits))
		return waits
	}, 20*time.Second, 10*time.Millisecond)
	_, err = tx.Exec(t.Context(), `SELECT FROM backup.b`)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-migrated)
}
