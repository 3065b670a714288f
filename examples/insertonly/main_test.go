package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	database := envtest.EmptyDatabase(t)
	var first, second bytes.Buffer
	require.NoError(t, run(t.Context(), database, &first))
	require.NoError(t, run(t.Context(), database, &second))
	require.Regexp(t, `\Abackup [0-9a-f-]{36} is pending\n\z`, first.String())
	require.Equal(t, first.String(), second.String())

	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	id := strings.Fields(first.String())[1]
	for query, want := range map[string]int{
		"SELECT count(*) FROM example.orders WHERE number = 4711": 1,
		"SELECT count(*) FROM backup.backup":                      1,
		"SELECT count(*) FROM backup.backup WHERE id = $1":        1,
		"SELECT count(*) FROM backup.river_job":                   1,
		"SELECT count(*) FROM backup.river_job WHERE state = 'available' AND kind = 'backup' AND args->>'backup_id' = $1": 1,
	} {
		var args []any
		if strings.Contains(query, "$1") {
			args = append(args, id)
		}
		var n int
		require.NoError(t, conn.QueryRow(t.Context(), query, args...).Scan(&n))
		require.Equal(t, want, n, query)
	}
}

// A program that only asks for backups links what it needs for that, and no more.
func TestLinks(t *testing.T) {
	t.Parallel()
	list, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	deps := strings.Fields(string(list))
	const module = "github.com/sitebackup/sitebackup"
	require.Contains(t, deps, module+"/backup")
	for _, dep := range deps {
		for _, unwanted := range []string{
			module + "/jobs", module + "/httpapi", module + "/internal", module + "/cmd",
			module + "/backup/blob/", module + "/backup/httpexport", module + "/backup/backuptest",
			"github.com/Azure/", "github.com/danielgtaylor/huma", "github.com/testcontainers", "testing",
		} {
			require.False(t, strings.HasPrefix(dep, unwanted), "it links %s", dep)
		}
	}
}

func TestRunNeedsADatabase(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), "", new(bytes.Buffer)), "set DATABASE_URL")
}
