package migrations_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

func TestUpAtOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{8, 16} {
		t.Run(fmt.Sprintf("%d processes", n), func(t *testing.T) {
			t.Parallel()
			requireOnce(t, n, false)
		})
		t.Run(fmt.Sprintf("%d callers of a pool with one connection", n), func(t *testing.T) {
			t.Parallel()
			requireOnce(t, n, true)
		})
	}
}

// requireOnce lets n callers migrate an empty database at once: all succeed, and
// each migration is applied by exactly one of them.
func requireOnce(t *testing.T, n int, shared bool) {
	t.Helper()
	db := envtest.EmptyDatabase(t)
	pool := connect(t, db, 1, nil)
	results := make([][]migrations.Applied, n)
	group, ctx := errgroup.WithContext(t.Context())
	for i := range n {
		mine := pool
		if !shared {
			mine = connect(t, db, 2, nil)
		}
		group.Go(func() (err error) {
			results[i], err = migrations.Up(ctx, mine, in("backup"))
			return err
		})
	}
	require.NoError(t, group.Wait())

	times := map[migrations.Applied]int{}
	for _, applied := range results {
		for _, a := range applied {
			times[a]++
		}
	}
	require.Len(t, times, riverVersions+ourVersions)
	for a, count := range times {
		require.Equal(t, 1, count, "%+v", a)
	}
	require.NoError(t, migrations.Validate(t.Context(), pool, in("backup")))
}

func TestUpReturnsRiverThenOurs(t *testing.T) {
	t.Parallel()
	pool := database(t)
	applied := up(t, pool, nil)
	require.Len(t, applied, riverVersions+ourVersions)
	for i, a := range applied[:riverVersions] {
		require.Equal(t, migrations.LineRiver, a.Line)
		require.Equal(t, i+1, a.Version)
	}
	require.Equal(t, migrations.Applied{Line: migrations.LineBackup, Version: 1, Name: "initial"}, applied[riverVersions])
	require.Empty(t, up(t, pool, in("backup")), "nothing is left to do")
}

func TestSchemasOfOneDatabase(t *testing.T) {
	t.Parallel()
	pool := database(t)
	up(t, pool, in("one"))
	require.ErrorIs(t, migrations.Validate(t.Context(), pool, in("two")), migrations.ErrPending)
	require.Len(t, up(t, pool, in("two")), riverVersions+ourVersions)

	_, err := migrations.Down(t.Context(), pool, in("one"), &migrations.DownOptions{All: true, RiverToo: true})
	require.NoError(t, err)
	require.ErrorIs(t, migrations.Validate(t.Context(), pool, in("one")), migrations.ErrPending)
	require.NoError(t, migrations.Validate(t.Context(), pool, in("two")))
}

func TestUpInSchemaThatRiverHasAlready(t *testing.T) {
	t.Parallel()
	pool := database(t)
	up(t, pool, in("app"))
	_, err := migrations.Down(t.Context(), pool, in("app"), &migrations.DownOptions{All: true})
	require.NoError(t, err)
	exec(t, pool, `INSERT INTO app.river_job (kind, args) VALUES ('host', '{}')`)

	require.Equal(t, []migrations.Applied{{Line: migrations.LineBackup, Version: 1, Name: "initial"}, {Line: migrations.LineBackup, Version: 2, Name: "engine"}, {Line: migrations.LineBackup, Version: 3, Name: "api"}, {Line: migrations.LineBackup, Version: 4, Name: "schedules"}, {Line: migrations.LineBackup, Version: 5, Name: "schedules_gone"}, {Line: migrations.LineBackup, Version: 6, Name: "announced_digest"}, {Line: migrations.LineBackup, Version: 7, Name: "lookups"}, {Line: migrations.LineBackup, Version: 8, Name: "lost_steps"}}, up(t, pool, in("app")))
	var jobs int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM app.river_job`).Scan(&jobs))
	require.Equal(t, 1, jobs, "the host's job is still there")
}

// An operator may make the schema for a role that cannot make any.
func TestUpWithoutRightToCreateSchemas(t *testing.T) {
	t.Parallel()
	db := envtest.EmptyDatabase(t)
	owner := connect(t, db, 2, nil)
	name := owner.Config().ConnConfig.Database
	role := "poor_" + name
	exec(t, owner, fmt.Sprintf(`CREATE ROLE %q LOGIN PASSWORD 'poor'`, role))
	t.Cleanup(func() { dropRole(t, db, role) })

	u, err := url.Parse(db)
	require.NoError(t, err)
	u.User = url.UserPassword(role, "poor")
	poor := connect(t, u.String(), 2, nil)
	_, err = migrations.Up(t.Context(), poor, in("backup"))
	require.ErrorContains(t, err, `create schema "backup": `)

	exec(t, owner, fmt.Sprintf(`CREATE SCHEMA backup AUTHORIZATION %q`, role))
	require.Len(t, up(t, poor, in("backup")), riverVersions+ourVersions)
}

func dropRole(t *testing.T, db, role string) {
	t.Helper()
	admin, err := pgx.Connect(context.Background(), db)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close(context.Background())) }()
	_, err = admin.Exec(context.Background(), fmt.Sprintf(`DROP OWNED BY %q; DROP ROLE %q`, role, role))
	require.NoError(t, err)
}
