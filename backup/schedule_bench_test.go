package backup_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

// manySchedules makes n schedules, for every day, of which the i-th runs i seconds behind
// now. Every thousandth has a slot that waits behind an open backup, and every second a
// MaxAge, which is over when it runs; the first ones of these have a good backup.
func manySchedules(t testing.TB, pool *pgxpool.Pool, schema string, n int, now time.Time) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO {backup_schedule} (id, user_id, site_id, name, created_at, updated_at, cron, time_zone, spread, catch_up, overlap,
				next_slot, next_run_at, last_slot, queued_slot, max_age, stale_at)
			SELECT gen_random_uuid(), 'u' || g / 10, 's' || g, 'default', n.now, n.now, '@daily', 'UTC', '0', 'last', 'queue',
				n.now + g * interval '1 second', n.now + g * interval '1 second', n.now, CASE WHEN g % 1000 = 999 THEN n.now END,
				CASE WHEN g % 2 = 0 THEN interval '1 day' END, CASE WHEN g % 2 = 0 THEN n.now + g * interval '1 second' END
			FROM generate_series(1, $1::int) g, (SELECT $2::timestamptz AS now) n`,
		`INSERT INTO {backup} (id, user_id, site_id, state, created_at, finished_at, manifest, manifest_key, schedule_id)
			SELECT gen_random_uuid(), user_id, site_id, CASE WHEN queued_slot IS NULL THEN 'done' ELSE 'pending' END, $2,
				CASE WHEN queued_slot IS NULL THEN $2::timestamptz END, '', 'm', id FROM {backup_schedule}
			WHERE queued_slot IS NOT NULL OR next_run_at < $2::timestamptz + $1 / 20 * interval '1 second'`,
		`INSERT INTO {backup_task} (id, backup_id, provider, upload_id, object_key, created_at)
			SELECT gen_random_uuid(), id, p, gen_random_uuid(), 'o', $2::timestamptz + $1::int * interval '0' FROM {backup}, unnest(ARRAY['db', 'site']) p`,
	} {
		_, err := pool.Exec(t.Context(), replaceTables(statement, schema), n, now)
		require.NoError(t, err)
	}
	_, err := pool.Exec(t.Context(), replaceTables(`VACUUM ANALYZE {backup_schedule}, {backup}, {backup_task}`, schema))
	require.NoError(t, err)
}

const (
	tickNoneLimit = 10 * time.Millisecond
	tickDueLimit  = time.Second // for 1,000 schedules
)

// within fails the benchmark where even the quickest call takes longer than the limit. The
// first calls fill caches, and others use the machine, too.
func within(b *testing.B, limit time.Duration, call func()) {
	b.Helper()
	var best time.Duration
	for b.Loop() {
		began := time.Now()
		call()
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
	}
	b.ReportMetric(float64(best), "best-ns/op")
	if best > limit {
		b.Errorf("the quickest tick took %s; want at most %s", best, limit)
	}
}

// BenchmarkTick ticks over a million schedules, in CI fewer: with none due, and
// with a thousand. A thousand of them have a slot that waits. Then it looks whether
// backups are too old, and reads the freshness of all. It fails where a tick takes longer
// than it may.
func BenchmarkTick(b *testing.B) {
	n := 1_000_000
	if os.Getenv("CI") != "" {
		n = envtest.Count(20_000, n)
	}
	pool, schema := envtest.Schema(b)
	_, err := migrations.Up(b.Context(), pool, &migrations.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	now := caseDay
	client, err := backup.New(&backup.Config{Pool: pool, Schema: schema, Now: func() time.Time { return now }})
	require.NoError(b, err)
	manySchedules(b, pool, pgx.Identifier{schema}.Sanitize(), n, now)
	b.Logf("%d schedules", n)
	l := client.Ledger()
	b.Run("none", func(b *testing.B) {
		within(b, tickNoneLimit, func() {
			done, err := l.TickSchedules(b.Context(), 500)
			require.NoError(b, err)
			require.Zero(b, done)
		})
	})
	b.Run("1000", func(b *testing.B) {
		within(b, tickDueLimit, func() {
			now = now.Add(1000 * time.Second)
			started := 0
			for more := true; more; {
				done, err := l.TickSchedules(b.Context(), 500)
				require.NoError(b, err)
				started, more = started+done.Started+done.Queued+done.Skipped, done.More
			}
			require.GreaterOrEqual(b, started, 1000)
		})
	})
	b.Run("fresh", func(b *testing.B) {
		for b.Loop() {
			_, err := client.Freshness(b.Context())
			require.NoError(b, err)
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			_, err := l.CheckFreshness(b.Context(), 500)
			require.NoError(b, err)
		}
	})
}

// Every statement that is run again and again takes an index, whether Postgres plans it
// for its arguments or once for all.
func TestSchedulePlans(t *testing.T) {
	b := setup(t)
	manySchedules(t, b.pool, pgx.Identifier{b.schema}.Sanitize(), envtest.Count(20_000, 1_000_000), caseDay)
	conn, err := b.pool.Acquire(b.ctx)
	require.NoError(t, err)
	defer conn.Release()
	if !envtest.Soak() {
		// What small tables are planned with depends on when they were last counted.
		_, err = conn.Exec(b.ctx, "SET enable_seqscan = off")
		require.NoError(t, err)
	}
	ids := "{" + uuid.NewString() + "}"
	args := pgx.NamedArgs{
		"now": caseDay.Add(20 * time.Second), "until": caseDay, "since": caseDay, "ahead": caseDay.Add(time.Minute), "limit": 500, "ids": ids, "overdue": caseDay, "most": 10_000, "look": 1000, "back": 10_000, "known": "{db,site}", "users": "{u1}",
	}
	for name, query := range backup.ScheduleQueries() {
		modes := []string{"force_custom_plan", "force_generic_plan"}
		if query.Custom {
			modes = modes[:1]
		}
		for _, mode := range modes {
			_, err := conn.Exec(b.ctx, "SET plan_cache_mode = "+mode)
			require.NoError(t, err)
			statement, values, err := args.RewriteQuery(b.ctx, conn.Conn(), strings.ReplaceAll(query.SQL, "{{schema}}", pgx.Identifier{b.schema}.Sanitize()), nil)
			require.NoError(t, err)
			literals := make([]string, len(values))
			for i, v := range values {
				if at, ok := v.(time.Time); ok {
					v = at.Format(time.RFC3339)
				}
				literals[i] = fmt.Sprintf("'%v'", v)
			}
			_, err = conn.Exec(b.ctx, "PREPARE planned AS "+statement)
			require.NoError(t, err, name)
			rows, err := conn.Query(b.ctx, "EXPLAIN (COSTS OFF) EXECUTE planned("+strings.Join(literals, ", ")+")", pgx.QueryExecModeSimpleProtocol)
			require.NoError(t, err, name)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err, name)
			plan := strings.Join(lines, "\n")
			for _, index := range query.Indexes {
				require.Regexp(t, `(using|on) `+index+`\b`, plan, "%s, %s", name, mode)
			}
			require.NotContains(t, plan, "Seq Scan on backup", "%s, %s", name, mode)
			_, err = conn.Exec(b.ctx, "DEALLOCATE planned")
			require.NoError(t, err)
		}
	}
}
