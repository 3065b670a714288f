package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	database, dir := envtest.EmptyDatabase(t), t.TempDir()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), database, dir, &out))
	require.Regexp(t, `\Arequests: 2 backups: 1\nbackup [0-9a-f-]{36} is done\n\z`, out.String())
	id := strings.Fields(out.String())[5]

	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var key string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT object_key FROM backup.backup_task WHERE backup_id = $1 AND state = 'done'", id).Scan(&key))
	stored, err := os.ReadFile(filepath.Join(dir, key))
	require.NoError(t, err)
	require.Equal(t, "hello, fish.example\n", string(stored))

	// Both deliveries are completed, and say which backup is theirs.
	var deliveries int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM backup.river_job
		WHERE kind = 'backup' AND state = 'completed' AND metadata->'output'->>'backup_id' = $1`, id).Scan(&deliveries))
	require.Equal(t, 2, deliveries)
}

// A request delivered again when its backup is done starts none either.
func TestDeliveredLater(t *testing.T) {
	t.Parallel()
	database, dir := envtest.EmptyDatabase(t), t.TempDir()
	var first, second bytes.Buffer
	require.NoError(t, run(t.Context(), database, dir, &first))
	require.NoError(t, run(t.Context(), database, dir, &second))
	require.Equal(t, strings.Replace(first.String(), "requests: 2", "requests: 4", 1), second.String())
}

func TestRunNeedsADatabase(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), "", t.TempDir(), new(bytes.Buffer)), "set DATABASE_URL")
}
