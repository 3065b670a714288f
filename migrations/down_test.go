package migrations_test

import (
	"strconv"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

func TestUpDownUp(t *testing.T) {
	t.Parallel()
	pool := connect(t, envtest.EmptyDatabase(t), 1, nil) // one connection is enough
	exec(t, pool, `CREATE SCHEMA backup`)
	empty := catalog(t, pool, "backup")
	up(t, pool, in("backup"))
	full := catalog(t, pool, "backup")

	reverted, err := migrations.Down(t.Context(), pool, in("backup"), &migrations.DownOptions{All: true, RiverToo: true})
	require.NoError(t, err)
	require.Len(t, reverted, riverVersions+ourVersions)
	require.Equal(t, migrations.Applied{Line: migrations.LineBackup, Version: ourVersions, Name: "lost_steps"}, reverted[0])
	require.Equal(t, migrations.Applied{Line: migrations.LineBackup, Version: 1, Name: "initial"}, reverted[ourVersions-1])
	require.Equal(t, riverVersions, reverted[ourVersions].Version)
	require.Equal(t, 1, reverted[riverVersions+ourVersions-1].Version)
	require.Equal(t, empty, catalog(t, pool, "backup"), "only the empty schema is left")

	up(t, pool, in("backup"))
	require.Equal(t, full, catalog(t, pool, "backup"))
}

func TestDownOfNothing(t *testing.T) {
	t.Parallel()
	pool := database(t)
	reverted, err := migrations.Down(t.Context(), pool, in("backup"), &migrations.DownOptions{All: true, RiverToo: true})
	require.NoError(t, err)
	require.Empty(t, reverted)
}

func three() fstest.MapFS {
	return fstest.MapFS{
		"sql/0001_a.up.sql":   {Data: []byte(`CREATE TABLE {{schema}}.a (x int)`)},
		"sql/0001_a.down.sql": {Data: []byte(`DROP TABLE {{schema}}.a`)},
		"sql/0002_b.up.sql":   {Data: []byte(`CREATE TABLE {{schema}}.b (x int)`)},
		"sql/0002_b.down.sql": {Data: []byte(`DROP TABLE {{schema}}.b`)},
		"sql/0003_c.up.sql":   {Data: []byte(`CREATE TABLE {{schema}}.c (x int); CREATE INDEX ON {{schema}}.c (x)`)},
		"sql/0003_c.down.sql": {Data: []byte(`DROP TABLE {{schema}}.c`)},
	}
}

func TestDownBySteps(t *testing.T) {
	t.Parallel()
	pool := database(t)
	_, err := migrations.UpFrom(t.Context(), three(), pool, in("backup"))
	require.NoError(t, err)

	down := func(o migrations.DownOptions) (versions []int) {
		reverted, err := migrations.DownFrom(t.Context(), three(), pool, in("backup"), o)
		require.NoError(t, err)
		for _, r := range reverted {
			versions = append(versions, r.Version)
		}
		return versions
	}
	require.Equal(t, []int{3}, down(migrations.DownOptions{}))
	require.Equal(t, []int{2}, down(migrations.DownOptions{Steps: 1, RiverToo: true}), "River stays while one of ours is left")
	again, err := migrations.UpFrom(t.Context(), three(), pool, in("backup"))
	require.NoError(t, err)
	require.Len(t, again, 2)
	require.Equal(t, []int{3, 2, 1}, down(migrations.DownOptions{Steps: 99}))
	require.Equal(t, []int{8, 7, 6, 5, 4, 3, 2, 1}, down(migrations.DownOptions{RiverToo: true}))
}

func TestDownLeavesOtherTables(t *testing.T) {
	t.Parallel()
	pool := database(t)
	up(t, pool, in("backup"))
	exec(t, pool, `CREATE TABLE backup.of_the_host AS SELECT 1 AS x`)
	_, err := migrations.Down(t.Context(), pool, in("backup"), &migrations.DownOptions{All: true, RiverToo: true})
	require.NoError(t, err)
	exec(t, pool, `SELECT x FROM backup.of_the_host`)
}

func TestDownDoesNotTouchWhatANewerReleaseApplied(t *testing.T) {
	t.Parallel()
	pool := database(t)
	up(t, pool, in("backup"))
	before := catalog(t, pool, "backup")
	down := func() error {
		reverted, err := migrations.Down(t.Context(), pool, in("backup"), &migrations.DownOptions{All: true, RiverToo: true})
		require.Empty(t, reverted)
		return err
	}
	exec(t, pool, `INSERT INTO backup.river_migration (line, version) VALUES ('main', 9)`)
	require.EqualError(t, down(), `schema "backup" has river migration 9, which this program does not know: go down with the release that applied it`)
	later := strconv.Itoa(ourVersions + 1)
	exec(t, pool, `INSERT INTO backup.backup_migration (version, name) VALUES (`+later+`, 'later')`)
	require.EqualError(t, down(), `schema "backup" has backup migration `+later+`, which this program does not know: go down with the release that applied it`)
	require.Equal(t, before, catalog(t, pool, "backup"))
}

func TestDownOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := migrations.Down(t.Context(), nil, nil, &migrations.DownOptions{Steps: -1})
	require.EqualError(t, err, "Steps must not be negative: -1")
}
