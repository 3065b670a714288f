package jobs

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// within waits, and reports whether ok came true in time.
func (b *bundle) within(limit time.Duration, ok func() bool) bool {
	b.Helper()
	end := now().Add(limit)
	for tick := time.NewTicker(20 * time.Millisecond); !ok(); {
		<-tick.C
		if now().After(end) {
			return false
		}
	}
	return true
}

// dump writes what a query of one text column returns.
func (b *bundle) dump(w io.Writer, query string) {
	b.Helper()
	rows, err := b.pool.Query(b.ctx, b.in(query))
	require.NoError(b, err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b, err)
	for _, t := range texts {
		fmt.Fprintln(w, t)
	}
}

// locks tells who waits for whom, and what the rows are: why something hangs.
func (b *bundle) locks() string {
	b.Helper()
	var out strings.Builder
	for _, query := range []string{
		`SELECT concat_ws(' ', 'session', pid, application_name, state, 'waits for', wait_event_type, wait_event, 'blocked by', pg_blocking_pids(pid)::text,
			'in transaction for', now() - xact_start, 'quiet for', now() - state_change, regexp_replace(left(query, 200), '\s+', ' ', 'g'))
			FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND (query LIKE '%` + b.schema + `%' OR xact_start IS NOT NULL)`,
		`SELECT concat_ws(' ', 'lock', pid, locktype, mode, granted, relation::regclass::text, transactionid::text) FROM pg_locks
			WHERE pid IN (SELECT pid FROM pg_stat_activity WHERE xact_start IS NOT NULL AND query LIKE '%` + b.schema + `%') AND pid <> pg_backend_pid()`,
		"SELECT 'job ' || (to_jsonb(t) - 'args')::text FROM {river_job} t ORDER BY id",
		"SELECT 'leader ' || to_jsonb(t)::text FROM {river_leader} t",
		"SELECT 'backup ' || (to_jsonb(t) - 'manifest')::text FROM {backup} t ORDER BY 1",
		"SELECT 'task ' || to_jsonb(t)::text FROM {backup_task} t ORDER BY 1",
		"SELECT 'event ' || to_jsonb(t)::text FROM {backup_event} t ORDER BY backup_id, seq",
	} {
		b.dump(&out, query)
	}
	return out.String()
}

// A process is stopped within a transaction, with rows locked. Whose transaction
// it is, the locks outlive that by no more than the bound that Postgres was told.
// Without one in River's pool nobody would be elected, or no due job of anybody
// would run, until TCP gives up.
func TestZombieHoldsLocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by     string // the statement that locks
		leads  bool
		behind string // what must happen in spite of it
		soak   bool   // it is like another
	}{
		"the backup":   {by: "-- name: JobInsertFastMany :", behind: "SELECT count(*) FROM {backup} WHERE state = 'done'"},
		"the task":     {by: "backup_task t SET state = $", soak: true, behind: "SELECT count(*) FROM {backup} WHERE state = 'done'"},
		"the election": {by: "-- name: LeaderAttemptElect :", leads: true, behind: "SELECT count(*) FROM {river_leader} WHERE expires_at > now()"},
		"due jobs":     {by: "-- name: JobSchedule :", leads: true, soak: true, behind: "SELECT count(*) FROM {river_job} WHERE id = 1000 AND state <> 'scheduled'"},
	} {
		if c.soak && !envtest.Soak() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := setup(t, setupOptions{store: fileStoreIn(dir), apis: []export.Options{{Name: "site", Size: 1 << 20}}})
			b.start()
			b.exec(`INSERT INTO {river_job} (id, kind, queue, args, max_attempts, state, priority, scheduled_at)
				VALUES (1000, 'backup_seal', 'backup', jsonb_build_object('backup_id', gen_random_uuid()), 1, 'scheduled', 1, now())`)
			p := b.spawnChild(&child{Dir: dir, StopBy: c.by, Leads: c.leads, Idle: riverIdle})
			b.eventually("it to be stopped", 30*time.Second, func() bool { return stopped(p.Process.Pid) })
			var where string
			b.eventually("it to say where", 10*time.Second, func() (ok bool) { where, ok = p.said.after("stops behind"); return ok })
			require.Contains(t, where, "transaction T", where)
			at := now()
			b.abandoned()
			b.work()
			ok := b.within(90*time.Second, func() bool { return b.count(c.behind) == 1 })
			require.True(t, ok, "%s\nhangs:\n%s", where, b.locks())
			t.Logf("%s: went on after %s", where, now().Sub(at).Round(time.Second/10))
		})
	}
}

// riverIdle is the idle_in_transaction_session_timeout that River's pool needs.
const riverIdle = "10s"
