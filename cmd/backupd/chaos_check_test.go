package main_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// list reads a column of texts.
func list(w *world, query string, args ...any) []string {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), query, args...)
	require.NoError(w.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	return all
}

// describeOpen says what is open and what River knows of it.
func describeOpen(w *world) string {
	w.t.Helper()
	return strings.Join(list(w, `
		SELECT format('backup %s %s: lease until %s, next %s, River job %s %s; %s', b.id, b.state, b.lease_until, b.next_attempt_at, b.river_job_id, j.state, b.error)
		FROM backup.backup b LEFT JOIN backup.river_job j ON j.id = b.river_job_id WHERE b.state NOT IN ('done', 'failed', 'canceled')
		UNION ALL
		SELECT format('  task %s of %s %s: lease until %s, next %s, failures %s, River job %s %s; %s', t.provider, t.backup_id, t.state, t.lease_until, t.next_attempt_at, t.failures, t.river_job_id, j.state, t.error)
		FROM backup.backup_task t LEFT JOIN backup.river_job j ON j.id = t.river_job_id WHERE t.state NOT IN ('done', 'failed', 'canceled')
		UNION ALL
		SELECT format('  River job %s %s %s: attempt %s of %s at %s by %s, scheduled %s; args %s; errors %s', j.id, j.kind, j.state, j.attempt, j.max_attempts, j.attempted_at, j.attempted_by, j.scheduled_at, j.args, j.errors[cardinality(j.errors)])
		FROM backup.river_job j WHERE kind ~ '^backup(_task_.*|_seal|_delete|_verify)?$' AND state NOT IN ('completed', 'cancelled', 'discarded')`), "\n")
}

// checkBackups looks at each backup: its end is one that what was done to it
// explains, and if that is done, what the store has is what the source has.
func checkBackups(w *world, m *monkey, size chaosSize) {
	w.t.Helper()
	var check errgroup.Group
	check.SetLimit(4)
	for i := range size.backups {
		id := list(w, "SELECT id::text FROM backup.backup WHERE site_id = $1", chaosSite(i))
		require.Len(w.t, id, 1, "backups of %s", chaosSite(i))
		check.Go(func() error {
			b, err := w.client.Get(w.t.Context(), id[0])
			if err == nil {
				err = judge(w, m, b)
			}
			if err != nil {
				w.t.Errorf("backup %s of %s: %v", id[0], chaosSite(i), err)
			}
			return nil
		})
	}
	_ = check.Wait()
}

func judge(w *world, m *monkey, b *backup.Backup) error {
	provider, reason, _ := doom(w.seed, b.SiteID)
	switch b.State {
	case backup.StateDone:
		if provider != "" {
			return fmt.Errorf("done, although %s of it fails for good with %s", provider, reason)
		}
		return verifyChaos(w.t.Context(), w, b)
	case backup.StateCanceled:
		if !m.canceled[b.ID] {
			return fmt.Errorf("canceled, and nobody did that")
		}
		return nil
	case backup.StateFailed:
		return judgeFailure(b, provider, reason)
	default:
		return fmt.Errorf("it is %s", b.State)
	}
}

// judgeFailure accepts the failure that the source was made to have, and that of
// a task which has used up its attempts.
func judgeFailure(b *backup.Backup, provider, reason string) error {
	if b.Failure == nil {
		return fmt.Errorf("failed without a reason")
	}
	if provider != "" && strings.HasPrefix(b.Failure.Message, provider+": ") && strings.Contains(b.Failure.Message, reason) && b.Failure.Class == backup.ClassPermanent {
		return nil
	}
	for _, t := range b.Tasks {
		if t.State == backup.TaskFailed && t.Attempt >= 10 {
			return nil
		}
	}
	return fmt.Errorf("failed for no reason that it was given (%q in %q): %+v", reason, provider, *b.Failure)
}

// verifyChaos compares what is stored with the manifest, and that with the
// sources.
func verifyChaos(ctx context.Context, w *world, b *backup.Backup) error {
	man, err := backup.ReadManifest(ctx, w.store, b.ManifestKey)
	if err != nil {
		return err
	}
	if len(man.Objects) != len(chaosSources) || man.BackupID != b.ID {
		return fmt.Errorf("its manifest is %+v", man)
	}
	for _, o := range chaosSources {
		i := slices.IndexFunc(man.Objects, func(m backup.ManifestObject) bool { return m.Provider == o.Name })
		want := export.SHA256(o, b.UserID, b.SiteID)
		if i < 0 || man.Objects[i].SHA256 != hex.EncodeToString(want[:]) || man.Objects[i].Size != o.Size {
			return fmt.Errorf("its manifest doesn't have what source %s has", o.Name)
		}
	}
	return backup.VerifyManifest(ctx, w.store, man)
}

// checkRows looks for what must never be in the tables once nothing is open.
func checkRows(w *world) {
	w.t.Helper()
	for what, query := range map[string]string{
		"a lease on a backup": `SELECT id::text FROM backup.backup WHERE lease_token IS NOT NULL`,
		"a lease on a task":   `SELECT id::text FROM backup.backup_task WHERE lease_token IS NOT NULL`,
		"a wrong counter": `SELECT format('%s: %s open, %s failed', b.id, b.open_tasks, b.failed_tasks) FROM backup.backup b
			WHERE open_tasks <> (SELECT count(*) FROM backup.backup_task t WHERE t.backup_id = b.id AND state NOT IN ('done', 'failed', 'canceled'))
			OR failed_tasks <> (SELECT count(*) FROM backup.backup_task t WHERE t.backup_id = b.id AND state = 'failed')`,
		"a gap in the events": `SELECT format('%s: %s events, the last is %s', b.id, count(e.*), max(e.seq)) FROM backup.backup b
			LEFT JOIN backup.backup_event e ON e.backup_id = b.id GROUP BY b.id
			HAVING count(e.*) <> b.event_seq OR max(e.seq) <> b.event_seq OR min(e.seq) <> 1`,
		"a last event that isn't the state": `SELECT format('%s is %s', b.id, b.state) FROM backup.backup b WHERE b.state IS DISTINCT FROM
			(SELECT e.data->>'state' FROM backup.backup_event e WHERE e.backup_id = b.id AND e.provider IS NULL ORDER BY e.seq DESC LIMIT 1)`,
		"two ends": `SELECT format('%s, %s: %s', backup_id, coalesce(provider, ''), count(*)) FROM backup.backup_event
			WHERE data->>'state' IN ('done', 'failed', 'canceled') AND name <> 'UpdatePartTask' GROUP BY backup_id, provider HAVING count(*) > 1`,
		"a task that isn't done in a backup that is": `SELECT t.id::text FROM backup.backup_task t JOIN backup.backup b ON b.id = t.backup_id
			WHERE b.state = 'done' AND t.state <> 'done'`,
	} {
		assert.Empty(w.t, list(w, query), what)
	}
}

// checkObjects compares the store's list with what the backups say: of one that
// is done there are its manifest and what that names, and nothing else; of any
// other there is no manifest.
func checkObjects(w *world) {
	w.t.Helper()
	named := make(map[string]bool)
	for _, key := range list(w, `SELECT manifest_key FROM backup.backup WHERE state = 'done'
		UNION ALL SELECT t.object_key FROM backup.backup_task t JOIN backup.backup b ON b.id = t.backup_id WHERE b.state = 'done'`) {
		named[key] = true
	}
	done := make(map[string]bool)
	for _, id := range list(w, `SELECT id::text FROM backup.backup WHERE state = 'done'`) {
		done[id] = true
	}
	unfinished := 0
	for o, err := range w.store.List(w.t.Context(), "user-") {
		require.NoError(w.t, err)
		segments := strings.Split(o.Key, "/")
		switch {
		case named[o.Key]:
			delete(named, o.Key)
		case done[segments[2]]:
			w.t.Errorf("object %s belongs to a backup that is done, and isn't named by it", o.Key)
		case strings.HasPrefix(segments[3], "manifest"):
			w.t.Errorf("manifest %s is there, and the backup isn't done", o.Key)
		default:
			unfinished++
		}
	}
	assert.Empty(w.t, slices.Collect(maps.Keys(named)), "objects that are missing")
	w.t.Logf("%d objects of backups that are not done", unfinished)
}

// report says what has happened.
func report(w *world, m *monkey) {
	w.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	w.t.Logf("strikes: %v", m.strikes)
	for _, worker := range m.workers {
		worker.mu.Lock()
		w.t.Logf("%s: %d processes, %d ended before they were ready", worker.name, worker.starts, worker.refused)
		worker.mu.Unlock()
	}
	for what, query := range map[string]string{
		"backups":                 `SELECT format('%s %s', count(*), state) FROM backup.backup GROUP BY state ORDER BY state`,
		"reasons of failures":     `SELECT format('%s × %s: %s', count(*), class, message) FROM (SELECT error_class AS class, ` + bare("error") + ` AS message FROM backup.backup WHERE state = 'failed') e GROUP BY class, message`,
		"failures that count":     `SELECT format('%s tasks with %s', count(*), failures) FROM backup.backup_task GROUP BY failures ORDER BY failures`,
		"errors of task attempts": attemptErrors,
	} {
		w.t.Logf("%s:\n  %s", what, strings.Join(list(w, query), "\n  "))
	}
	w.t.Logf("%d backups had a job canceled in River UI; the longest took %s", len(m.canceled),
		strings.Join(list(w, `SELECT coalesce(max(finished_at - created_at), '0')::text FROM backup.backup`), ""))
}

// attemptErrors are the reasons of all attempts that failed.
var attemptErrors = `WITH e AS (SELECT data->'error'->>'class' AS class, ` + bare("data->'error'->>'message'") + ` AS message
		FROM backup.backup_event WHERE name = 'UpdateTask' AND data->'error' IS NOT NULL AND data->>'state' IN ('pending', 'committing', 'failed'))
	SELECT format('%s × %s: %s', count(*), class, message) FROM e GROUP BY class, message ORDER BY count(*) DESC LIMIT 60`

// bare is an SQL expression for a message without what differs from one backup to
// the other.
func bare(message string) string {
	return `regexp_replace(regexp_replace(` + message + `, '(GET|PUT|HEAD|Put|Get|Head) "?\S+', '…', 'g'), '[0-9a-f]{8,}[0-9a-f-]*|site-\d+|user-\d+|127\.0\.0\.1:\d+|\d{4,}', '…', 'g')`
}

// checkConnections waits until no worker is in a transaction, and has no more
// connections than its pools may keep.
func checkConnections(w *world, m *monkey, idle *idleState) {
	w.t.Helper()
	for _, worker := range m.workers {
		var count, busy int
		late := time.After(20 * time.Second)
		for settled := false; !settled; {
			require.NoError(w.t, w.pool.QueryRow(w.t.Context(), `SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%' OR (state = 'active' AND query_start < now() - interval '2 seconds'))
				FROM pg_stat_activity WHERE application_name = $1`, worker.name).Scan(&count, &busy))
			settled = busy == 0 && count > 0 && count <= mostConnections
			select {
			case <-late:
				require.Failf(w.t, "connections", "%s has %d connections, %d of them busy; its pools may keep %d, an idle worker has %d", worker.name, count, busy, mostConnections, idle.connections)
			case <-time.After(100 * time.Millisecond):
			}
		}
		w.t.Logf("%s has %d connections, an idle one %d", worker.name, count, idle.connections)
	}
}

// mostConnections is how many connections the pools of a process keep, and
// River's listener, which leaves its pool.
const mostConnections = 10 + 16 + 1
