package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// ahead is a client whose pruning sees the database's time and what is added to it.
func ahead(t *testing.T, options ...func(*backup.Config)) (b *bundle, by *time.Duration) {
	by = new(time.Duration)
	options = append(options, func(c *backup.Config) { c.Now = func() time.Time { return time.Now().Add(*by) } })
	return setup(t, options...), by
}

func (b *bundle) prune() backup.Pruned {
	b.Helper()
	done, more, err := b.ledger.Prune(b.ctx, 1000)
	require.NoError(b, err)
	require.False(b, more)
	return done
}

// sealed makes a backup that is done.
func (b *bundle) sealed() string {
	b.Helper()
	id := b.start().ID
	b.plan(id, "site", "db")
	b.finish(id, "site")
	b.finish(id, "db")
	w, err := b.ledger.ClaimSeal(b.ctx, id, claim(b.job(id, "")))
	require.NoError(b, err)
	_, _, err = b.ledger.SaveManifest(b.ctx, w)
	require.NoError(b, err)
	require.NoError(b, b.ledger.FinishSeal(b.ctx, w.Lease))
	return id
}

// The last event stays, and readers go on behind it.
func TestPruneDetails(t *testing.T) {
	b, by := ahead(t)
	id := b.sealed()
	last := b.get(id).EventSeq()
	require.Greater(t, last, int64(4))
	require.NotZero(t, b.count("SELECT count(*) FROM {backup_part}"))
	*by = 29 * day
	require.Equal(t, backup.Pruned{}, b.prune())
	*by = 31 * day
	require.Equal(t, backup.Pruned{Backups: 1}, b.prune())
	require.Equal(t, backup.Pruned{}, b.prune(), "once")
	require.Zero(t, b.count("SELECT count(*) FROM {backup_part}"))
	require.Zero(t, b.count("SELECT count(*) FROM {backup_task} WHERE attempts <> '[]' OR hash_state IS NOT NULL"))
	for _, after := range []int64{0, 2, last - 1} {
		events, err := b.client.Events(b.ctx, id, after, 100)
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, last, events[0].Seq)
	}
	got := b.get(id)
	require.Equal(t, backup.StateDone, got.State)
	require.EqualValues(t, 10, got.Tasks[0].StoredBytes)
	_, err := b.client.Manifest(b.ctx, id)
	require.NoError(t, err)

	// Later events are kept as long, from then on, and are numbered on.
	b.exec("UPDATE {backup} SET finished_at = now() - interval '40 days'")
	*by = 0
	_, err = b.client.Hold(b.ctx, id, "")
	require.NoError(t, err)
	require.Equal(t, backup.Pruned{}, b.prune())
	events, err := b.client.Events(b.ctx, id, 0, 100)
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, last+1, events[1].Seq)
	*by = 31 * day
	require.Equal(t, backup.Pruned{Backups: 1}, b.prune())
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_event}"))
}

// A watcher that comes late, or comes back, gets the last event and then waits.
func TestPrunedIsWatched(t *testing.T) {
	b, by := ahead(t)
	id := b.sealed()
	last := b.get(id).EventSeq()
	*by = 31 * day
	require.Equal(t, 1, b.prune().Backups)
	w, err := b.client.NewWatcher(nil)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	for _, after := range []int64{0, 2} {
		s, err := w.Watch(id, after)
		require.NoError(t, err)
		defer s.Close()
		events, err := s.Next(ctx)
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, last, events[0].Seq)
	}
}

// A backup that failed long ago begins again at its first byte.
func TestPruneFailedThenRetry(t *testing.T) {
	b, _ := ahead(t)
	id := b.start().ID
	b.plan(id, "site", "db")
	b.finish(id, "db")
	w := b.claim(id, "site")
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, Size: -1}))
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 10), Offset: 10, SHA256: []byte("state")}, false))
	_, err := b.client.Cancel(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, 2, b.count("SELECT count(*) FROM {backup_part}"))
	b.exec("UPDATE {backup} SET finished_at = now() - interval '31 days'")
	b.exec("UPDATE {backup_task} SET capture_finished_at = capture_finished_at - interval '31 days'")
	require.Equal(t, backup.Pruned{Backups: 1}, b.prune())
	require.Zero(t, b.count("SELECT count(*) FROM {backup_part}"))
	require.Zero(t, b.count("SELECT count(*) FROM {backup_task} WHERE provider = 'site' AND (stored_bytes <> 0 OR validator <> '')"))
	_, err = b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	require.Zero(t, b.count("SELECT count(*) FROM {backup} WHERE pruned_at IS NOT NULL"), "its details count again")
	for _, provider := range []string{"site", "db"} {
		w := b.claim(id, provider)
		require.Nil(t, w.Checkpoint)
		b.gate(w)
		require.NoError(t, b.ledger.FinishTask(b.ctx, w.Lease))
	}
	require.Equal(t, backup.StateSealing, b.get(id).State)
}

// A transaction isn't larger than it has to be, and what somebody else has locked
// waits.
func TestPruneInBatches(t *testing.T) {
	b, by := ahead(t)
	var ids []string
	for range 3 {
		ids = append(ids, b.sealed())
	}
	b.exec("UPDATE {backup_task} SET stored_parts = 9000")
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	_, err = tx.Exec(b.ctx, b.in("SELECT FROM {backup} WHERE id = $1 FOR UPDATE"), ids[0])
	require.NoError(t, err)
	*by = 31 * day
	done, more, err := b.ledger.Prune(b.ctx, 1000)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, 1, done.Backups)
	require.Equal(t, backup.Pruned{Backups: 1}, b.prune())
	require.NoError(t, tx.Commit(b.ctx))
	require.Equal(t, backup.Pruned{Backups: 1}, b.prune())
}

// Runs go when their time is over, but for those that a tick may write to, and the
// last.
func TestPruneRuns(t *testing.T) {
	b, by := ahead(t)
	s, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "@daily"})
	require.NoError(t, err)
	b.exec(`INSERT INTO {backup_schedule_run} (schedule_id, slot, last_slot, slots, status, reason, backup_id, at) VALUES
		($1, now() - interval '9 days', now() - interval '9 days', 1, 'started', NULL, gen_random_uuid(), now()),
		($1, now() - interval '8 days', now() - interval '7 days', 2, 'skipped', 'paused', NULL, now()),
		($1, now() - interval '6 days', now() - interval '6 days', 1, 'queued', NULL, NULL, now()),
		($1, now() - interval '5 days', now() - interval '4 days', 2, 'skipped', 'overlap', NULL, now()),
		($1, now() - interval '3 days', now() - interval '3 days', 1, 'started', NULL, gen_random_uuid(), now())`, s.ID)
	b.exec(`UPDATE {backup_schedule} s SET last_slot = (SELECT max(last_slot) FROM {backup_schedule_run}), open_skip_reason = 'overlap',
		open_skip_slot = (SELECT slot FROM {backup_schedule_run} WHERE reason = 'overlap')`)
	b.exec(`INSERT INTO {backup_schedule_event} (schedule_id, seq, name, data, created_at, deliver_at) VALUES ($1, 1, 'ScheduleStale', jsonb_build_object(), now(), now())`, s.ID)
	*by = 89 * day
	require.Equal(t, backup.Pruned{}, b.prune())
	*by = 91 * day
	require.Equal(t, backup.Pruned{Runs: 2, Alerts: 1}, b.prune())
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_schedule_run} WHERE status = 'queued'"))
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_schedule_run} WHERE reason = 'overlap'"))
}

// What fails with one kind of rows doesn't keep the others.
func TestPruneGoesOn(t *testing.T) {
	b, by := ahead(t)
	b.sealed()
	_, err := b.client.Start(b.ctx, backup.StartParams{UserID: userID, SiteID: siteID, IdempotencyScope: "me", IdempotencyKey: "k"})
	require.NoError(t, err)
	*by = 31 * day
	b.exec("ALTER TABLE {backup_part} RENAME TO away")
	done, _, err := b.ledger.Prune(b.ctx, 1000)
	require.ErrorContains(t, err, "prune: remove details")
	require.Equal(t, backup.Pruned{Keys: 1}, done)
	b.exec("ALTER TABLE {away} RENAME TO backup_part")
	require.Equal(t, backup.Pruned{Backups: 1}, b.prune())
}

// What is to be pruned is found by indexes, among many rows that are not.
func TestPruneByIndexes(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	s := b.schedule("s", nil)
	for _, statement := range []string{
		`INSERT INTO {backup} (id, user_id, site_id, state, created_at, finished_at) SELECT gen_random_uuid(), 'u', 's', 'failed', at, at FROM (SELECT now() - n * interval '1 minute' AS at FROM generate_series(1, 10000) n) x`,
		`INSERT INTO {backup_key} (caller, key, request, backup_id, expires_at) SELECT 'c', n::text, '', '` + id + `', now() + n * interval '1 minute' FROM generate_series(1, 10000) n`,
		`INSERT INTO {backup_schedule_run} (schedule_id, slot, last_slot, status, backup_id, at) SELECT '` + s + `', at, at, 'started', gen_random_uuid(), at FROM (SELECT now() - n * interval '1 minute' AS at FROM generate_series(1, 10000) n) x`,
		`INSERT INTO {backup_schedule_event} (schedule_id, seq, name, data, created_at, deliver_at) SELECT '` + s + `', n, 'ScheduleStale', jsonb_build_object(), at, at FROM (SELECT n, now() - n * interval '1 minute' AS at FROM generate_series(1, 10000) n) x`,
		`ANALYZE {backup}`, `ANALYZE {backup_key}`, `ANALYZE {backup_schedule_run}`, `ANALYZE {backup_schedule_event}`,
	} {
		b.exec(statement)
	}
	require.Equal(t, backup.Pruned{}, b.prune())
	for _, index := range []string{"backup_unpruned", "backup_key_expires", "backup_schedule_run_at", "backup_schedule_event_at"} {
		eventually(t, func() bool { // statistics take a second
			return b.count("SELECT idx_scan FROM pg_stat_user_indexes WHERE schemaname = $1 AND indexrelname = $2", b.schema, index) > 0
		})
	}
}

// What is to be kept for ever is, and too little is refused.
func TestKeep(t *testing.T) {
	b, by := ahead(t, func(c *backup.Config) { c.Keep.Details = backup.Forever })
	b.sealed()
	*by = 100 * 365 * day
	require.Equal(t, backup.Pruned{}, b.prune())
	for message, cfg := range map[string]backup.Config{
		"Keep.Details must be at least 168h0m0s, or Forever": {Keep: backup.Keep{Details: day}},
		"Keep.Details must be at least 960h0m0s, or Forever": {Keep: backup.Keep{Details: 30 * day}, MaxSkew: 40 * day},
		"Keep.Runs must be at least 24h0m0s, or Forever":     {Keep: backup.Keep{Runs: -2}},
	} {
		_, err := backup.New(&cfg)
		require.EqualError(t, err, message)
	}
}
