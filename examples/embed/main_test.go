package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	database, dir := envtest.EmptyDatabase(t), t.TempDir()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), database, dir, &out))

	want := export.SHA256(export.Options{Name: "site", Size: 20 << 20}, "658683afc91423af04d82152", "658683afc91423af04d82153")
	m := regexp.MustCompile(`(?m)\Amail sent to ada@example.com
backup [0-9a-f-]{36} is done
site: 20971520 bytes, sha256 ([0-9a-f]{64}), in (658683afc91423af04d82152/658683afc91423af04d82153/\S+)
manifest: (\S+/manifest.json)
\z`).FindStringSubmatch(out.String())
	require.NotNil(t, m, out.String())
	require.Equal(t, fmt.Sprintf("%x", want), m[1])
	object, err := os.Stat(filepath.Join(dir, m[2]))
	require.NoError(t, err)
	require.EqualValues(t, 20<<20, object.Size())
	require.FileExists(t, filepath.Join(dir, m[3]))

	// Both jobs were worked by the one client, in the one schema. The minute may bring others.
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT DISTINCT queue || ': ' || kind FROM backup.river_job WHERE state = 'completed' AND (kind IN ('mail', 'backup', 'backup_seal') OR starts_with(kind, 'backup_task_')) ORDER BY 1")
	require.NoError(t, err)
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"backup: backup", "backup: backup_seal", "backup_task_site: backup_task_site", "mail: mail"}, jobs)
}

func TestRunNeedsADatabase(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), "", t.TempDir(), new(bytes.Buffer)), "set DATABASE_URL")
}
