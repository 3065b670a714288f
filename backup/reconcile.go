package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
)

// Reconciled counts what Reconcile mended.
type Reconciled struct {
	Requeued int `json:"requeued"` // got a new River job in the place of one that was lost
	Canceled int `json:"canceled"` // were canceled, because somebody had canceled the River job
	Admitted int `json:"admitted"` // waited for room under a limit, and have it now
}

// strayJob tells a River job that will do nothing any more for the row (alias
// r) that names it: it is gone or has ended, or, after the database was
// restored, its id went to another one.
const strayJob = `(j.id IS NULL OR j.state IN ('cancelled', 'completed', 'discarded') OR j.kind <> r.kind
	OR ` + anothersArgs + `)`

// anothersArgs tells a job that was made for another row.
const anothersArgs = `(j.args->>r.id_arg IS DISTINCT FROM r.id::text AND j.created_at IS DISTINCT FROM r.source_job_created_at)`

// openRows are the backups and tasks that wait for a River job to do something.
const openRows = `
	SELECT b.id AS backup_id, NULL::uuid AS task_id, b.id, b.river_job_id, b.lease_until, 'backup_id' AS id_arg, b.source_job_created_at,
		CASE b.state WHEN 'pending' THEN 'backup' ELSE 'backup_seal' END AS kind
	FROM {{schema}}.backup b WHERE b.state IN ('pending', 'sealing')
	UNION ALL
	SELECT b.id, NULL, b.id, b.river_job_id, b.lease_until, 'backup_id', NULL,
		CASE b.state WHEN 'deleting' THEN 'backup_delete' ELSE 'backup_verify' END
	FROM {{schema}}.backup b WHERE b.state IN ('deleting', 'done') AND b.requested_at IS NOT NULL
	UNION ALL
	SELECT b.id, t.id, t.id, t.river_job_id, t.lease_until, 'task_id', NULL, 'backup_task_' || t.provider
	FROM {{schema}}.backup b JOIN {{schema}}.backup_task t ON t.backup_id = b.id
	WHERE b.state = 'running' AND t.state IN ('pending', 'running', 'committing')
		AND NOT EXISTS (SELECT FROM {{schema}}.backup_slot s WHERE s.task_id = t.id AND s.state = 'waiting')`

// strays selects open rows without a River job that will work on them.
const strays = `SELECT r.backup_id::text, coalesce(r.task_id::text, ''), coalesce(j.state = 'cancelled' AND j.kind = r.kind AND NOT (` + anothersArgs + `), false)
	FROM (` + openRows + `) r LEFT JOIN {{schema}}.river_job j ON j.id = r.river_job_id
	WHERE (r.lease_until IS NULL OR r.lease_until < now()) AND ` + strayJob

type stray struct {
	BackupID string
	TaskID   string // empty for the backup itself
	Canceled bool   // somebody canceled the River job
}

// Reconcile compares up to limit open backups and tasks with River's jobs, and
// mends what was done to the jobs behind the workers' backs: a job that was
// deleted, discarded or lost is replaced, without counting as a failure, and
// where somebody canceled one, the backup is canceled.
func (l *Ledger) Reconcile(ctx context.Context, limit int) (Reconciled, error) {
	var done Reconciled
	found, err := l.strays(ctx, l.c.cfg.Pool, "ORDER BY r.backup_id, r.task_id LIMIT @limit", named{"limit": limit})
	if err != nil {
		return done, err
	}
	for _, s := range found {
		var mended Reconciled
		ok, err := l.c.changeSoon(ctx, s.BackupID, func(ch *change) error {
			mended = Reconciled{}
			return ch.mend(ctx, s, &mended)
		})
		if err != nil {
			return done, err
		}
		if ok {
			done.Requeued += mended.Requeued
			done.Canceled += mended.Canceled
		}
	}
	if err := l.sweepSlots(ctx); err != nil && !isSQLState(err, pgerrcode.LockNotAvailable) {
		return done, err
	}
	if err := l.rankJobs(ctx, limit); err != nil {
		return done, err
	}
	done.Admitted, err = l.admitWaiting(ctx, limit)
	return done, err
}

// rankJobs raises the priority of up to limit River jobs that wait, of backups whose
// user's older backups have ended since the jobs were inserted.
func (l *Ledger) rankJobs(ctx context.Context, limit int) error {
	if _, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(rerankJobs), named{"limit": limit}); err != nil {
		return fmt.Errorf("rank River jobs: %w", err)
	}
	return nil
}

// rerankJobs ranks as rankOf does.
const rerankJobs = `WITH
	n AS (SELECT b.id, b.state, b.river_job_id, CASE WHEN older = 0 THEN 1 WHEN older < 4 THEN 2 WHEN older < 16 THEN 3 ELSE 4 END AS rank
		FROM (SELECT id, state, river_job_id, row_number() OVER (PARTITION BY user_id ORDER BY id) - 1 AS older
			FROM {{schema}}.backup WHERE state IN ('pending', 'running', 'sealing')) b),
	r AS (SELECT river_job_id, rank FROM n WHERE state = 'pending'
		UNION ALL SELECT t.river_job_id, n.rank FROM n JOIN {{schema}}.backup_task t ON t.backup_id = n.id
			WHERE n.state = 'running' AND t.state IN ('pending', 'running', 'committing')),
	late AS (SELECT j.id, r.rank FROM r JOIN {{schema}}.river_job j ON j.id = r.river_job_id
		WHERE j.state IN ('available', 'scheduled', 'retryable') AND j.priority > r.rank LIMIT @limit FOR UPDATE OF j SKIP LOCKED)
	UPDATE {{schema}}.river_job j SET priority = late.rank FROM late WHERE j.id = late.id`

func (l *Ledger) strays(ctx context.Context, q querier, tail string, args named) ([]stray, error) {
	rows, err := q.Query(ctx, l.c.sql(strays+" "+tail), args)
	if err != nil {
		return nil, fmt.Errorf("find lost River jobs: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stray])
	if err != nil {
		return nil, fmt.Errorf("find lost River jobs: %w", err)
	}
	return found, nil
}

// mend looks again, now that the backup is locked, and mends.
func (ch *change) mend(ctx context.Context, s stray, done *Reconciled) error {
	still, err := ch.c.Ledger().strays(ctx, ch.tx, "AND r.backup_id = @id", named{"id": s.BackupID})
	if err != nil {
		return err
	}
	for _, now := range still {
		if now.TaskID != s.TaskID {
			continue
		}
		if !now.Canceled || ch.b.State == StateSealing || ch.b.State == StateDeleting {
			done.Requeued++
			return ch.requeue(ctx, now)
		}
		done.Canceled++
		if ch.b.State == StateDone {
			return ch.abandonVerify()
		}
		return ch.cancelStray(ctx, now)
	}
	return nil
}

// cancelStray cancels the backup whose River job somebody canceled. A task that
// is committing goes on until it has resolved, and needs another job for that.
func (ch *change) cancelStray(ctx context.Context, s stray) error {
	if err := ch.cancel(ctx); err != nil || s.TaskID == "" {
		return err
	}
	t, err := ch.task(ctx, s.TaskID)
	if err != nil || t.State.Terminal() {
		return err
	}
	return ch.requeue(ctx, s)
}

func (ch *change) requeue(ctx context.Context, s stray) error {
	switch {
	case s.TaskID != "":
		t, err := ch.task(ctx, s.TaskID)
		if err != nil {
			return err
		}
		return ch.insertTaskJobs(ctx, []*Task{t})
	case ch.b.State == StatePending:
		return ch.insertPlanJob(ctx)
	case ch.b.State == StateDeleting:
		return ch.insertStepJob(ctx, ch.c.deleteJob(ch.b))
	case ch.b.State == StateDone:
		return ch.insertStepJob(ctx, ch.c.verifyJob(ch.b))
	default:
		return ch.insertStepJob(ctx, ch.c.sealJob(ch.b))
	}
}
