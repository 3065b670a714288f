package jobs

import (
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// saved is a copy of all tables of the schema, ours and River's, at one moment.
type saved struct {
	*bundle
	tables    []string
	sequences map[string]int64
}

func (b *bundle) save() *saved {
	b.Helper()
	s := &saved{bundle: b, sequences: make(map[string]int64)}
	tx, err := b.pool.BeginTx(b.ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(b, err)
	defer func() { require.NoError(b, tx.Commit(b.ctx)) }()
	rows, err := tx.Query(b.ctx, "SELECT tablename::text FROM pg_tables WHERE schemaname = $1", b.schema)
	require.NoError(b, err)
	s.tables, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b, err)
	for _, t := range s.tables {
		_, err := tx.Exec(b.ctx, b.in("CREATE TABLE {saved_"+t+"} AS TABLE {"+t+"}"))
		require.NoError(b, err)
	}
	rows, err = tx.Query(b.ctx, "SELECT sequencename::text, coalesce(last_value, 1) FROM pg_sequences WHERE schemaname = $1", b.schema)
	require.NoError(b, err)
	var name string
	var last int64
	_, err = pgx.ForEachRow(rows, []any{&name, &last}, func() error { s.sequences[name] = last; return nil })
	require.NoError(b, err)
	return s
}

// restore puts the tables back to what was saved.
func (s *saved) restore() {
	s.Helper()
	tx, err := s.pool.Begin(s.ctx)
	require.NoError(s, err)
	statements := []string{"SET LOCAL session_replication_role = replica", "TRUNCATE {" + strings.Join(s.tables, "}, {") + "}"}
	for _, t := range s.tables {
		if t == "river_leader" { // its term would be over in a real one, or the row not there: the table is unlogged
			continue
		}
		statements = append(statements, "INSERT INTO {"+t+"} SELECT * FROM {saved_"+t+"}")
	}
	for _, statement := range statements {
		_, err := tx.Exec(s.ctx, s.in(statement))
		require.NoError(s, err)
	}
	for name, last := range s.sequences {
		_, err := tx.Exec(s.ctx, "SELECT setval($1::regclass, $2)", pgx.Identifier{s.schema, name}.Sanitize(), last)
		require.NoError(s, err)
	}
	require.NoError(s, tx.Commit(s.ctx))
}

// The database is restored to a moment before the backup was done, and the store
// has everything. The workers recognise it.
func TestRestoredDatabase(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"gate", "commit", "task", "manifest", "seal"} {
		t.Run(moment, func(t *testing.T) {
			b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: 4 << 20}}})
			id := b.start()
			var then *saved
			client, w := b.riverClient()
			var once sync.Once
			w.passed = func(step string) {
				if step == moment {
					once.Do(func() { then = b.save() })
				}
			}
			require.NoError(t, client.Start(b.ctx))
			b.requireCopy(b.wait(id))
			require.NoError(t, client.StopAndCancel(b.ctx))

			then.restore()
			now, err := b.client.Get(b.ctx, id)
			require.NoError(t, err)
			require.NotEqual(t, backup.StateDone, now.State)
			b.abandoned()
			b.work()
			got := b.wait(id)
			b.requireCopy(got)
			require.Len(t, b.keys(), 2, "what was there was recognised")
			b.requireSound()
		})
	}
}
