package migrations_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/migrations"
)

func dump(t *testing.T, config *migrations.Config, to migrations.Direction) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, migrations.Dump(&b, config, to))
	require.NotContains(t, b.String(), "TEMPLATE")
	require.NotContains(t, b.String(), "{{")
	return b.String()
}

// run executes a whole file as psql would: as one simple query.
func run(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Conn().PgConn().Exec(t.Context(), sql).ReadAll()
	require.NoError(t, err)
	require.Equal(t, byte('I'), conn.Conn().PgConn().TxStatus(), "no transaction is left open")
}

func TestDumpEqualsUp(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"backup", "public", "_s_1"} {
		t.Run(schema, func(t *testing.T) {
			t.Parallel()
			dumped, migrated := database(t), database(t)
			up(t, migrated, in(schema))
			run(t, dumped, dump(t, in(schema), migrations.DirectionUp))

			require.Equal(t, catalog(t, migrated, schema), catalog(t, dumped, schema))
			require.Equal(t, records(t, migrated, schema), records(t, dumped, schema))
			require.NoError(t, migrations.Validate(t.Context(), dumped, in(schema)))
			require.Empty(t, up(t, dumped, in(schema)), "nothing is left to do")

			_, err := migrations.Down(t.Context(), dumped, in(schema), &migrations.DownOptions{All: true, RiverToo: true})
			require.NoError(t, err)
		})
	}
}

func TestDumpDown(t *testing.T) {
	t.Parallel()
	pool := database(t)
	exec(t, pool, `CREATE SCHEMA backup`)
	empty := catalog(t, pool, "backup")
	up(t, pool, in("backup"))
	full := catalog(t, pool, "backup")

	run(t, pool, dump(t, nil, migrations.DirectionDown))
	require.Equal(t, empty, catalog(t, pool, "backup"))
	run(t, pool, dump(t, nil, migrations.DirectionUp))
	require.Equal(t, full, catalog(t, pool, "backup"))
}

// Every version records itself in its own transaction, so that a run that was
// cut between any two of them is told the truth by Status.
func TestDumpRecordsEachVersionAsItGoes(t *testing.T) {
	t.Parallel()
	for _, to := range []migrations.Direction{migrations.DirectionUp, migrations.DirectionDown} {
		t.Run(string(to), func(t *testing.T) {
			t.Parallel()
			pool := database(t)
			if to == migrations.DirectionDown {
				up(t, pool, in("backup"))
			}
			before := 0
			if to == migrations.DirectionDown {
				before = riverVersions + ourVersions
			}
			for i, version := range strings.SplitAfter(dump(t, nil, to), "\nCOMMIT;\n") {
				if version == "" {
					continue
				}
				run(t, pool, version)
				report, err := migrations.Status(t.Context(), pool, in("backup"))
				require.NoError(t, err)
				applied := len(report.River.Applied) + len(report.Backup.Applied)
				if to == migrations.DirectionUp {
					require.Equal(t, before+i+1, applied)
				} else {
					require.Equal(t, before-i-1, applied)
				}
			}
		})
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestDumpErrors(t *testing.T) {
	t.Parallel()
	require.EqualError(t, migrations.Dump(fullDisk{}, nil, migrations.DirectionUp), "write sql: disk full")
	require.EqualError(t, migrations.Dump(io.Discard, nil, "sideways"), `direction must be "up" or "down": "sideways"`)
	require.ErrorContains(t, migrations.Dump(io.Discard, in("No"), migrations.DirectionUp), "Schema must be")
}
