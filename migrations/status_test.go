package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/migrations"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	pool := database(t)
	status := func() *migrations.Report {
		report, err := migrations.Status(t.Context(), pool, in("backup"))
		require.NoError(t, err)
		require.Equal(t, "backup", report.Schema)
		return report
	}
	empty := status()
	require.Empty(t, empty.River.Applied)
	require.Empty(t, empty.Backup.Applied)
	require.Len(t, empty.River.Pending, riverVersions)
	require.Equal(t, []migrations.Version{{Version: 1, Name: "initial"}, {Version: 2, Name: "engine"}, {Version: 3, Name: "api"}, {Version: 4, Name: "schedules"}, {Version: 5, Name: "schedules_gone"}, {Version: 6, Name: "announced_digest"}, {Version: 7, Name: "lookups"}, {Version: 8, Name: "lost_steps"}}, empty.Backup.Pending)

	up(t, pool, in("backup"))
	full := status()
	require.Empty(t, full.River.Pending)
	require.Empty(t, full.Backup.Pending)
	require.Len(t, full.River.Applied, riverVersions)
	require.Equal(t, "initial schema", full.River.Applied[1].Name)
	require.Len(t, full.Backup.Applied, ourVersions)
	require.Equal(t, "initial", full.Backup.Applied[0].Name)
	for _, v := range append(full.River.Applied, full.Backup.Applied...) {
		require.False(t, v.AppliedAt.IsZero(), "%+v", v)
	}
}

// River's table had no column line before its version 5.
func TestStatusOfAnOldRiver(t *testing.T) {
	t.Parallel()
	pool := database(t)
	exec(t, pool, `CREATE SCHEMA backup;
		CREATE TABLE backup.river_migration (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), version bigint NOT NULL);
		INSERT INTO backup.river_migration (version) VALUES (1), (2), (3)`)
	report, err := migrations.Status(t.Context(), pool, in("backup"))
	require.NoError(t, err)
	require.Len(t, report.River.Applied, 3)
	require.Equal(t, 4, report.River.Pending[0].Version)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	pool := database(t)
	validate := func() error { return migrations.Validate(t.Context(), pool, in("backup")) }

	err := validate()
	require.ErrorIs(t, err, migrations.ErrPending)
	require.EqualError(t, err, `database is not migrated: schema "backup" lacks migrations river 1, 2, 3, 4, 5, 6, 7, 8 and backup 1, 2, 3, 4, 5, 6, 7, 8: run "backupd migrate up"`)

	up(t, pool, in("backup"))
	require.NoError(t, validate())

	exec(t, pool, `DELETE FROM backup.river_migration WHERE version = 8`)
	require.EqualError(t, validate(), `database is not migrated: schema "backup" lacks migrations river 8: run "backupd migrate up"`)
	up(t, pool, in("backup"))

	exec(t, pool, `DELETE FROM backup.backup_migration`)
	require.EqualError(t, validate(), `database is not migrated: schema "backup" lacks migrations backup 1, 2, 3, 4, 5, 6, 7, 8: run "backupd migrate up"`)
}

func TestNewerDatabaseIsValid(t *testing.T) {
	t.Parallel()
	pool := database(t)
	up(t, pool, in("backup"))
	exec(t, pool, `INSERT INTO backup.backup_migration (version, name) VALUES (9, 'later');
		INSERT INTO backup.river_migration (line, version) VALUES ('main', 9), ('pro', 1)`)
	require.NoError(t, migrations.Validate(t.Context(), pool, in("backup")))
	require.Empty(t, up(t, pool, in("backup")))

	report, err := migrations.Status(t.Context(), pool, in("backup"))
	require.NoError(t, err)
	require.Equal(t, "later", report.Backup.Applied[ourVersions].Name)
	require.Len(t, report.River.Applied, 9, "other lines of River are none of ours")
	require.Empty(t, report.River.Applied[8].Name)
}

func TestUnreachableDatabase(t *testing.T) {
	t.Parallel()
	pool := connect(t, "postgres://u:secret@127.0.0.1:1/none", 1, nil)
	err := migrations.Validate(t.Context(), pool, in("backup"))
	require.ErrorContains(t, err, "look for table")
	require.NotContains(t, err.Error(), "secret")
	_, err = migrations.Up(t.Context(), pool, in("backup"))
	require.ErrorContains(t, err, "connect: ")
	require.NotContains(t, err.Error(), "secret")
}
