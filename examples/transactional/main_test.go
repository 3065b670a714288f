package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

func open(t *testing.T, database string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func count(t *testing.T, pool *pgxpool.Pool, from string) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM "+from).Scan(&n))
	return n
}

func TestRun(t *testing.T) {
	t.Parallel()
	database, dir := envtest.EmptyDatabase(t), t.TempDir()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), database, dir, &out))
	m := regexp.MustCompile(`\Arolled back: no backup
committed: backup is pending
worked: backup is done, 13 bytes in (ada/cats\.example/\S+)
\z`).FindStringSubmatch(out.String())
	require.NotNil(t, m, out.String())
	stored, err := os.ReadFile(filepath.Join(dir, m[1]))
	require.NoError(t, err)
	require.Equal(t, "<h1>Cats</h1>", string(stored))

	pool := open(t, database)
	require.Zero(t, count(t, pool, "example.site"))
	require.Equal(t, 1, count(t, pool, "backup.backup"), "the rolled-back one never existed")
	require.Equal(t, 1, count(t, pool, "backup.backup WHERE state = 'done' AND labels->>'reason' = 'deleted'"))
	require.Equal(t, 1, count(t, pool, "backup.river_job WHERE kind = 'backup'"))
}

// Rolled back, nothing exists: no row of ours and no River job.
func TestRollBack(t *testing.T) {
	t.Parallel()
	pool := open(t, envtest.EmptyDatabase(t))
	require.NoError(t, createSite(t.Context(), pool))
	backups, err := backup.New(&backup.Config{Pool: pool})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, rollBack(t.Context(), pool, backups, &out))
	for _, table := range []string{"backup.backup", "backup.backup_event", "backup.river_job", "example.site WHERE deleted_at IS NOT NULL"} {
		require.Zero(t, count(t, pool, table), table)
	}
	require.Equal(t, 1, count(t, pool, "example.site"))
}

func TestRunNeedsADatabase(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), "", t.TempDir(), new(bytes.Buffer)), "set DATABASE_URL")
}
