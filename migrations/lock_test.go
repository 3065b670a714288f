package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

// hold takes the lock of a schema until the test ends, and returns its process.
func hold(t *testing.T, pool *pgxpool.Pool, schema string) (pid uint32) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock($1)`, migrations.LockKey(schema))
	require.NoError(t, err)
	return tx.Conn().PgConn().PID()
}

func TestCancelEndsTheWaitForTheLock(t *testing.T) {
	t.Parallel()
	db := envtest.EmptyDatabase(t)
	hold(t, connect(t, db, 1, nil), "backup")
	asked := watchFor("pg_try_advisory_xact_lock")
	pool := connect(t, db, 1, asked)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := migrations.Up(ctx, pool, in("backup"))
		result <- err
	}()
	<-asked.ended
	<-asked.ended
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	require.ErrorIs(t, migrations.Validate(t.Context(), pool, in("backup")), migrations.ErrPending)
}

func TestLockTimeoutNamesTheHolder(t *testing.T) {
	t.Parallel()
	db := envtest.EmptyDatabase(t)
	pid := hold(t, connect(t, db, 1, nil), "backup")
	pool := connect(t, db, 2, nil)
	config := in("backup")
	config.LockTimeout = time.Nanosecond

	_, err := migrations.Up(t.Context(), pool, config)
	require.EqualError(t, err, fmt.Sprintf(`wait for migration lock of schema "backup": not got in 1ns, server process %d has it`, pid))
	_, err = migrations.Down(t.Context(), pool, config, nil)
	require.ErrorContains(t, err, "wait for migration lock")
	require.Len(t, up(t, pool, in("other")), riverVersions+ourVersions, "another schema has another lock")
}

// The lock's transaction stays idle while a migration runs. Servers that end
// such transactions must not end this one.
func TestLockOutlivesTheServersLimits(t *testing.T) {
	t.Parallel()
	db := envtest.EmptyDatabase(t)
	pool := connect(t, db, 2, nil)
	exec(t, pool, fmt.Sprintf(`ALTER DATABASE %q SET idle_in_transaction_session_timeout = '1s'`, pool.Config().ConnConfig.Database))
	slow := fstest.MapFS{
		"sql/0001_slow.up.sql": {Data: fmt.Appendf(nil, `
			DO $$ BEGIN
				PERFORM pg_sleep(2);
				IF NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
					AND (classid::bigint << 32 | objid::bigint) = %d) THEN
					RAISE EXCEPTION 'the lock is gone';
				END IF;
			END $$`, migrations.LockKey("backup"))},
		"sql/0001_slow.down.sql": {Data: []byte(`SELECT 1`)},
	}
	_, err := migrations.UpFrom(t.Context(), slow, connect(t, db, 2, nil), in("backup"))
	require.NoError(t, err)
}

// Nothing stays locked behind a call, whatever its outcome.
func TestLockIsReleased(t *testing.T) {
	t.Parallel()
	pool := database(t)
	up(t, pool, in("backup"))
	requireFree(t, pool)
	failed := database(t)
	_, err := migrations.UpFrom(t.Context(), broken(), failed, in("backup"))
	require.Error(t, err)
	requireFree(t, failed)
}

func requireFree(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var free bool
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	err = tx.QueryRow(t.Context(), `SELECT pg_try_advisory_xact_lock($1)`, migrations.LockKey("backup")).Scan(&free)
	require.NoError(t, errors.Join(err, tx.Rollback(t.Context())))
	require.True(t, free)
}
