package backup_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// everything is the schema's rows, to see that nothing has changed.
func (b *bundle) everything() (all []string) {
	b.Helper()
	for _, table := range []string{"backup", "backup_task", "backup_event", "backup_schedule", "backup_erasure", "river_job"} {
		rows, err := b.pool.Query(b.ctx, b.in(`SELECT '`+table+` ' || to_jsonb(r)::text FROM {`+table+`} r ORDER BY 1`))
		require.NoError(b, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(b, err)
		all = append(all, texts...)
	}
	return all
}

// A hold on one backup of many keeps all of them.
func TestEraseHeld(t *testing.T) {
	b := setup(t)
	b.start()
	id := b.start(func(p *backup.StartParams) { p.SiteID = "other" }).ID
	b.start()
	_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "@daily"})
	require.NoError(t, err)
	_, err = b.client.Hold(b.ctx, id, "a lawsuit")
	require.NoError(t, err)
	before := b.everything()
	_, err = b.client.Erase(b.ctx, backup.EraseParams{UserID: userID})
	var held *backup.HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, id, held.BackupID)
	require.Equal(t, "a lawsuit", held.Reason)
	require.Equal(t, before, b.everything())
	_, err = b.client.Erase(b.ctx, backup.EraseParams{UserID: userID, SiteID: siteID}) // not that one's
	require.NoError(t, err)
}

// Nothing new begins while all of it is to go; other tenants don't notice.
func TestErasingRefuses(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	_, err := b.client.Cancel(b.ctx, id)
	require.NoError(t, err)
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: userID, SiteID: siteID})
	require.NoError(t, err)
	require.EqualValues(t, 0, e.Schedules)
	for name, verb := range map[string]func() error{
		"start": func() error {
			_, err := b.client.Start(b.ctx, backup.StartParams{UserID: userID, SiteID: siteID})
			return err
		},
		"start with keys": func() error {
			_, err := b.client.Start(b.ctx, backup.StartParams{UserID: userID, SiteID: siteID, IdempotencyScope: "me", IdempotencyKey: "k", IfActive: backup.IfActiveJoin})
			return err
		},
		"retry": func() error { _, err := b.client.Retry(b.ctx, id); return err },
		"hold":  func() error { _, err := b.client.Hold(b.ctx, id, ""); return err },
		"schedule": func() error {
			_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "@daily"})
			return err
		},
	} {
		var erasing *backup.ErasingError
		require.ErrorAs(t, verb(), &erasing, name)
		require.Equal(t, e.ID, erasing.ErasureID, name)
	}
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup}"))
	require.Zero(t, b.count("SELECT count(*) FROM {backup_key}"))
	b.start(func(p *backup.StartParams) { p.SiteID = "other" })
	b.start(func(p *backup.StartParams) { p.UserID = "other" })
	// The whole user covers each of the sites.
	_, err = b.client.Erase(b.ctx, backup.EraseParams{UserID: userID})
	require.NoError(t, err)
	_, err = b.client.Start(b.ctx, backup.StartParams{UserID: userID, SiteID: "other"})
	require.ErrorAs(t, err, new(*backup.ErasingError))
}

// An erasure that is rolled back has never been.
func TestEraseTxRolledBack(t *testing.T) {
	b := setup(t)
	b.start()
	before := b.everything()
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	e, err := b.client.EraseTx(b.ctx, tx, backup.EraseParams{UserID: userID})
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(b.ctx))
	require.Equal(t, before, b.everything())
	_, err = b.client.GetErasure(b.ctx, e.ID)
	require.ErrorIs(t, err, backup.ErrErasureNotFound)
	_, err = b.client.Erase(b.ctx, backup.EraseParams{UserID: "a\x00b"})
	require.ErrorAs(t, err, new(*backup.FieldError))
}

// A server whose configuration has schedules of who is being erased starts, and goes on
// with the erasure; the others' schedules are put.
func TestErasingAndDeclared(t *testing.T) {
	b := setup(t)
	ps := []backup.ScheduleParams{declared("s", "@daily"), declared("t", "@daily")}
	_, err := b.client.DeclareSchedules(b.ctx, ps)
	require.NoError(t, err)
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: userID, SiteID: "s"})
	require.NoError(t, err)
	require.EqualValues(t, 1, e.Schedules)
	ps[1].Cron = "@weekly"
	done, err := b.client.DeclareSchedules(b.ctx, ps)
	require.NoError(t, err)
	require.Equal(t, backup.Declared{Put: 1}, done)
	by := b.schedulesBySite()
	require.Len(t, by, 1)
	require.Equal(t, "@weekly", by["t"].Cron)
}

// A hold that is being put when an erasure is asked for wins, or is refused: it is
// never put on what is about to go.
func TestEraseWaitsForHold(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	_, err = b.client.HoldTx(b.ctx, tx, id, "first")
	require.NoError(t, err)
	erased := make(chan error, 1)
	go func() {
		_, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: userID})
		erased <- err
	}()
	eventually(t, func() bool {
		return b.count("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%hold_reason%'", b.schema) == 1
	})
	require.NoError(t, tx.Commit(b.ctx))
	require.ErrorAs(t, <-erased, new(*backup.HeldError))
	require.Zero(t, b.count("SELECT count(*) FROM {backup_erasure}"))
}

// The tenant's River jobs are looked for by River's indexes, also when none is left.
func TestEraseJobsReadsNoTableWhole(t *testing.T) {
	b := setup(t)
	b.exec(`INSERT INTO {river_job} (kind, args, queue, max_attempts, state, metadata, finalized_at)
		SELECT 'backup_seal', jsonb_build_object('backup_id', g), 'backup', 1, 'completed', jsonb_build_object('backup_id', g, 'user_id', 'u' || g % 1000, 'site_id', 's'), now()
		FROM generate_series(1, 30000) g`)
	b.exec(`ANALYZE {river_job}`)
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "u7"})
	require.NoError(t, err)
	m, explained := b.explained()
	w, err := m.ledger.BeginErasure(b.ctx, e.ID, int64(b.count(`SELECT river_job_id FROM {backup_erasure} WHERE id = $1`, e.ID)))
	require.NoError(t, err)
	for _, want := range []struct {
		removed int
		left    bool
	}{{20, true}, {10, false}, {0, false}} {
		removed, left, err := m.ledger.EraseJobs(b.ctx, w, 20)
		require.NoError(t, err)
		require.Equal(t, want.removed, removed)
		require.Equal(t, want.left, left)
	}
	for _, plan := range explained() {
		require.NotContains(t, plan, "Seq Scan on river_job")
	}
}
