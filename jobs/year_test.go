package jobs

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// year is a simulated year of daily backups.
type year struct {
	*bundle
	pairs  int
	now    time.Time
	ledger *backup.Ledger
	peak   map[string]int           // the most rows that were seen, by table
	bytes  map[string]map[int]int64 // what a table took with its indexes, by table and day
	spent  map[string]time.Duration // on what
	river  river.Config             // as Configure sets it up
}

// Of a year of daily backups of many pairs, every table has no more rows than
// "What is kept for how long" in package backup says, on every day of it, and takes no
// more room at its end than it did before. Each of them must be named here.
func TestYearIsBounded(t *testing.T) {
	y := &year{pairs: 5, peak: make(map[string]int), bytes: make(map[string]map[int]int64), spent: make(map[string]time.Duration)}
	if os.Getenv("BACKUP_TEST_SOAK") == "1" {
		y.pairs = 1000
	}
	y.now = time.Now().Truncate(day).Add(-time.Hour - yearDays*day) // it ends today: River's cleaner has the real clock
	y.bundle = setup(t, setupOptions{alone: true, config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: tiny{}}, {Name: "db", Provider: tiny{}}}
		c.Retention = &retention.Policy{KeepDaily: 60, KeepMonthly: 12}
		c.Keep.Receipts = 180 * day
		c.Now = func() time.Time { return y.now }
	}})
	y.ledger = y.client.Ledger()
	for i := range y.pairs {
		_, err := y.client.PutSchedule(y.ctx, backup.ScheduleParams{UserID: "user-" + string(rune('a'+i%26)), SiteID: "site-" + time.Duration(i).String(), Cron: "@daily", MaxAge: 2 * day})
		require.NoError(t, err)
	}
	w, err := New(y.client, nil)
	require.NoError(t, err)
	require.NoError(t, w.Configure(&y.river))
	bounds := y.bounds()
	for n := range yearDays {
		y.now = y.now.Add(day)
		y.timed("backups", y.backUp)
		y.alert(n)
		if n%7 == 0 {
			y.exec(`INSERT INTO {backup_erasure} (id, whole_user, requested_at, finished_at) VALUES (gen_random_uuid(), true, $1, $1)`, y.now)
			y.timed("retention", y.retain)
		}
		y.timed("pruning", y.prune)
		if n < yearDays-riversOwn {
			y.timed("River", y.cleanRiver)
		}
		if n%10 == 0 || n == yearDays-1 {
			y.timed("looks", func() { y.requireBounded(bounds, n) })
		}
	}
	y.requireSteady()
	y.timed("River's cleaner", y.requireRiverCleans)
	t.Logf("%d pairs: the most rows were %v; time went to %v", y.pairs, y.peak, y.spent)
}

const (
	yearDays  = 365
	riversOwn = 20 // days at the end whose jobs River itself cleans
)

func (y *year) timed(what string, fn func()) {
	since := time.Now()
	fn()
	y.spent[what] += time.Since(since).Round(time.Millisecond)
}

// bounds are the most rows of each table: per pair and day two exports of three
// parts each, and eight events.
func (y *year) bounds() map[string]int {
	const (
		details  = 30 + 1
		retained = 60 + 12 + 3 + 7 // with those that failed in the last weeks, and what waits for the weekly retention
		events   = details*8 + retained
	)
	p := y.pairs
	return map[string]int{
		"backup": p * retained, "backup_task": 2 * p * retained, "backup_event": p * events, "backup_part": 6 * p * details,
		"backup_key": p * 2, "backup_slot": 0, "backup_tombstone": p * (7 + 7 + 7), "backup_forgotten": 0, "backup_schedule_gone": 0,
		"backup_schedule": p, "backup_schedule_run": p * (90 + 2), "backup_schedule_event": p * (90/5 + 1), "backup_erasure": 180/7 + 1,
		"backup_migration": 10, "river_migration": 10, "river_leader": 1, "river_queue": 10, "river_notification": 0,
		"river_client": 0, "river_client_queue": 0,
		// Of a day a backup's and a deletion's, a tenth of which are canceled; those of the
		// last days are River's own to clean, see requireRiverCleans.
		"river_job": p * (2*(riversOwn+1) + 2*8),
	}
}

// requireBounded counts the rows of every table, on the nth day, and vacuums it, as
// Postgres does by itself in days.
func (y *year) requireBounded(bounds map[string]int, n int) {
	y.Helper()
	rows, err := y.pool.Query(y.ctx, "SELECT tablename FROM pg_tables WHERE schemaname = $1", y.schema)
	require.NoError(y, err)
	var tables []string
	for rows.Next() {
		var table string
		require.NoError(y, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(y, rows.Err())
	for _, table := range tables {
		most, ok := bounds[table]
		require.True(y, ok, "table %s has a stated bound", table)
		has := y.count("SELECT count(*) FROM {" + table + "}")
		require.LessOrEqual(y, has, most, "%s on %s", table, y.now)
		y.peak[table] = max(y.peak[table], has)
		y.exec("VACUUM {" + table + "}")
		if y.bytes[table] == nil {
			y.bytes[table] = make(map[int]int64)
		}
		y.bytes[table][n] = int64(y.count("SELECT pg_total_relation_size($1::regclass)", y.in("{"+table+"}")))
	}
}

// requireSteady checks that no table, with its indexes, takes much more room in the last
// months than in those before: when nothing is kept for half a year, rows come and go.
func (y *year) requireSteady() {
	y.Helper()
	sizes := make(map[string]string)
	var all int64
	for table, bytes := range y.bytes {
		var before, after int64
		for n, b := range bytes {
			switch {
			case n >= yearDays-riversOwn && table == "river_job": // see cleanRiver
			case n >= yearDays-90:
				after = max(after, b)
			case n >= yearDays-180:
				before = max(before, b)
			}
		}
		require.LessOrEqual(y, after, before*5/4+128<<10, table)
		sizes[table], all = fmt.Sprint(after>>10, " KiB"), all+after
	}
	y.Logf("%d pairs: all take %d KiB: %v", y.pairs, all>>10, sizes)
}

// backUp starts what is due, and ends it: one of ten fails.
func (y *year) backUp() {
	y.Helper()
	y.atOnce(func() error {
		for more := true; more; {
			done, err := y.ledger.TickSchedules(y.ctx, tickLimit)
			if err != nil {
				return err
			}
			more = done.More
		}
		return nil
	})
	for _, statement := range []string{
		`INSERT INTO {backup_key} (caller, key, request, backup_id, created_at, expires_at) SELECT 'somebody', id::text, '', id, $1::timestamptz, $1::timestamptz + interval '1 day' FROM {backup} WHERE state = 'pending'`,
		`INSERT INTO {backup_event} (backup_id, seq, name, data, created_at) SELECT id, n, 'UpdateTask', jsonb_build_object(), $1::timestamptz FROM {backup}, generate_series(2, 8) n WHERE state = 'pending'`,
		`INSERT INTO {backup_task} (id, backup_id, provider, state, created_at, started_at, finished_at, upload_id, object_key, received_bytes, stored_bytes, stored_parts, hash_state, size, sha256, proof, capture_started_at, capture_finished_at, attempts)
			SELECT gen_random_uuid(), id, p, 'done', $1::timestamptz, $1, $1, gen_random_uuid(), 'key', 3, 3, 3, 'x', 3, sha256('x'), 'length', $1, $1, jsonb_build_array(1) FROM {backup}, unnest(ARRAY['site', 'db']) p WHERE state = 'pending'`,
		`INSERT INTO {backup_part} (task_id, idx, part_id, size, crc64) SELECT t.id, n, 'part', 1, 1 FROM {backup_task} t JOIN {backup} b ON b.id = t.backup_id, generate_series(0, 2) n WHERE b.state = 'pending' AND $1::timestamptz IS NOT NULL`,
		`UPDATE {backup} SET event_seq = 8, started_at = $1::timestamptz, finished_at = $1, manifest = 'x', manifest_key = 'manifest',
			state = CASE WHEN hashtext(id::text) % 10 = 0 THEN 'failed' ELSE 'done' END WHERE state = 'pending'`,
	} {
		y.exec(statement, y.now)
	}
	y.endJobs()
}

// endJobs are River's jobs as workers would have left them.
func (y *year) endJobs() {
	y.Helper()
	y.exec(`UPDATE {river_job} SET state = (CASE WHEN id % 10 = 0 THEN 'cancelled' ELSE 'completed' END)::{river_job_state}, created_at = $1::timestamptz, finalized_at = $1 WHERE finalized_at IS NULL`, y.now)
}

// atOnce runs fn in several goroutines, as processes would.
func (y *year) atOnce(fn func() error) {
	y.Helper()
	var group errgroup.Group
	for range 4 {
		group.Go(fn)
	}
	require.NoError(y, group.Wait())
}

// cleanRiver removes what River's cleaner would, whose clock isn't this one. What it does
// itself is seen at the end.
func (y *year) cleanRiver() {
	y.Helper()
	y.exec(`DELETE FROM {river_job} WHERE state = 'completed' AND finalized_at < $1 OR state IN ('cancelled', 'discarded') AND finalized_at < $2`,
		y.now.Add(-y.river.CompletedJobRetentionPeriod), y.now.Add(-y.river.CancelledJobRetentionPeriod))
}

func (y *year) alert(n int) {
	y.Helper()
	if n%5 != 0 {
		return
	}
	y.exec(`WITH s AS (UPDATE {backup_schedule} SET event_seq = event_seq + 1 RETURNING id, event_seq)
		INSERT INTO {backup_schedule_event} (schedule_id, seq, name, data, created_at, deliver_at) SELECT id, event_seq, 'ScheduleStale', jsonb_build_object(), $1::timestamptz, $1::timestamptz FROM s`, y.now)
}

// retain removes what retention lets go of, as the deleting workers do.
func (y *year) retain() {
	y.Helper()
	letters := []string{"", "user-g", "user-m", "user-s", "user-~"}
	var part atomic.Int64
	y.atOnce(func() error {
		n := part.Add(1)
		for after := (&backup.Pair{UserID: letters[n-1]}); after != nil && after.UserID < letters[n]; {
			done, err := y.ledger.ApplyRetention(y.ctx, *after, 10)
			if err != nil {
				return err
			}
			after = done.Next
		}
		return nil
	})
	y.exec(`WITH gone AS (DELETE FROM {backup} WHERE state = 'deleting' RETURNING id, user_id, site_id)
		INSERT INTO {backup_tombstone} (backup_id, user_id, site_id, prefix, due_at) SELECT id, user_id, site_id, '', $1::timestamptz + interval '10 minutes' FROM gone`, y.now)
	y.endJobs()
	for {
		due, err := y.ledger.DueTombstones(y.ctx, 1000)
		require.NoError(y, err)
		if len(due) == 0 {
			return
		}
		var next atomic.Int64
		y.atOnce(func() error {
			for i := next.Add(1) - 1; i < int64(len(due)); i = next.Add(1) - 1 {
				if err := y.ledger.SweptTombstone(y.ctx, due[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func (y *year) prune() {
	y.Helper()
	for more := true; more; {
		var err error
		_, more, err = y.ledger.Prune(y.ctx, pruneLimit)
		require.NoError(y, err)
	}
}

// requireRiverCleans runs a River client as Configure sets it up, until its cleaner
// has left only the last day's jobs and the last week's failed ones.
func (y *year) requireRiverCleans() {
	y.Helper()
	const old = `FROM {river_job} WHERE finalized_at < now() - interval '8 days' OR state = 'completed' AND finalized_at < now() - interval '25 hours'`
	before := y.count("SELECT count(*) " + old)
	require.Greater(y, before, 10*y.pairs)
	stop := y.work(func(_ *Config, rc *river.Config) { rc.PeriodicJobs = nil })
	y.eventually("River's cleaner to be through", 3*time.Minute, func() bool { return y.count("SELECT count(*) "+old) == 0 })
	stop()
	failed := y.count("SELECT count(*) FROM {river_job} WHERE state = 'cancelled'")
	require.NotZero(y, failed, "a week's are kept")
	require.LessOrEqual(y, failed, y.pairs*8*2)
}

// What a host has set about River's retention stays.
func TestConfigureKeepsJobs(t *testing.T) {
	b := setup(t, tinySetup(nil))
	w, err := New(b.client, nil)
	require.NoError(t, err)
	var rc river.Config
	require.NoError(t, w.Configure(&rc))
	require.Equal(t, []time.Duration{day, 7 * day, 7 * day}, []time.Duration{rc.CompletedJobRetentionPeriod, rc.CancelledJobRetentionPeriod, rc.DiscardedJobRetentionPeriod})
	rc = river.Config{CompletedJobRetentionPeriod: time.Hour, CancelledJobRetentionPeriod: -1}
	require.NoError(t, w.Configure(&rc))
	require.Equal(t, []time.Duration{time.Hour, -1}, []time.Duration{rc.CompletedJobRetentionPeriod, rc.CancelledJobRetentionPeriod})
}

// The job prunes in as many transactions as it takes.
func TestPruneJob(t *testing.T) {
	b := setup(t, tinySetup(nil))
	stop := b.work()
	for range 3 {
		b.wait(b.start())
	}
	b.exec("UPDATE {backup} SET finished_at = now() - interval '31 days'")
	b.exec("UPDATE {backup_task} SET stored_parts = 9000")
	_, err := b.pool.Exec(b.ctx, b.in(`INSERT INTO {river_job} (kind, args, max_attempts, queue) VALUES ('backup_prune', jsonb_build_object(), 1, 'backup')`))
	require.NoError(t, err)
	b.eventually("the job", 20*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_prune' AND state = 'completed' AND (metadata->'output'->>'backups')::int = 3") == 1
	})
	stop()
	require.Equal(t, 3, b.count("SELECT count(*) FROM {backup_event}"))
	require.Zero(t, b.count("SELECT count(*) FROM {backup_part}"))
}
