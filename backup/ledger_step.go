package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// StepWork is a step of a backup, claimed: its planning, sealing, deletion or verification.
type StepWork struct {
	Lease
	Backup *Backup // with its tasks, if it is to be sealed

	parts map[string][]ManifestPart // of those tasks, by their ids, of a backup that is sealed
}

// Adopt makes the backup that somebody else's River job asks for: once per
// River job, and once per idempotency key. A bad argument is a *FieldError. Mine
// is false where another River job plans the backup: this one was delivered
// twice.
func (l *Ledger) Adopt(ctx context.Context, jobID int64, jobCreatedAt time.Time, a PlanArgs) (b *Backup, mine bool, err error) {
	p := StartParams{
		UserID: a.UserID, SiteID: a.SiteID, Providers: a.Providers, Labels: a.Labels, IdempotencyKey: a.IdempotencyKey, MaxSize: a.MaxSize,
		source: &sourceJob{jobID, jobCreatedAt},
	}
	err = l.c.inTx(ctx, func(tx pgx.Tx) error {
		// A job that runs again has made it, whatever is configured by now.
		if b, err = l.c.adopted(ctx, tx, p.source); !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := l.c.validateStart(&p); err != nil {
			return err
		}
		b, _, err = l.c.insertBackup(ctx, tx, &p, newID())
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return b, b.riverJobID != nil && *b.riverJobID == jobID, nil
}

// ClaimPlan claims a pending backup, to be planned.
func (l *Ledger) ClaimPlan(ctx context.Context, backupID string, p ClaimParams) (*StepWork, error) {
	return l.claimStep(ctx, backupID, p, StatePending)
}

// ClaimSeal claims a sealing backup.
func (l *Ledger) ClaimSeal(ctx context.Context, backupID string, p ClaimParams) (*StepWork, error) {
	return l.claimStep(ctx, backupID, p, StateSealing)
}

func (l *Ledger) claimStep(ctx context.Context, id string, p ClaimParams, state State) (w *StepWork, err error) {
	failed := false
	token, err := newToken()
	if err != nil {
		return nil, err
	}
	if w, err = l.claimFreeStep(ctx, id, p, state, token); w != nil || err != nil {
		return w, err
	}
	err = l.c.inTx(ctx, func(tx pgx.Tx) error {
		if !validID(id) {
			return &IdleError{Reason: "no such backup"}
		}
		b, err := l.c.oneBackup(ctx, tx, "WHERE b.id = @id FOR NO KEY UPDATE", named{"id": id})
		if errors.Is(err, ErrNotFound) {
			return &IdleError{Reason: "the backup is gone", Done: state == StateDeleting || state == StateDone}
		}
		if err != nil {
			return err
		}
		if b.State != state { // first: a plan that runs again when the seal has a job is done
			return &IdleError{Reason: fmt.Sprintf("backup %s is %s", id, b.State), Done: true}
		}
		if b.riverJobID == nil || *b.riverJobID != p.JobID {
			return &IdleError{Reason: "another River job is responsible for backup " + id}
		}
		if failed, err = l.earlyStep(ctx, tx, b); err != nil || failed {
			return err
		}
		if err := l.leaseStep(ctx, tx, id, state, token, p); err != nil {
			return err
		}
		w = &StepWork{Lease: Lease{BackupID: id, Token: token}, Backup: b}
		if state != StateSealing {
			return nil
		}
		var batch pgx.Batch
		l.c.queueTasks(&batch, []string{id}, []uuid.UUID{token}, func(string) *StepWork { return w })
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return fmt.Errorf("read tasks: %w", err)
		}
		return nil
	})
	if err == nil && failed {
		return nil, &IdleError{Reason: "the step has failed"}
	}
	return w, err
}

// leaseStepSet is the claim of a backup's step. It takes i.token, i.d and i.worker. A
// lease that is still there is that of a worker that died: whoever ends a step, hands it
// over, or asks for it anew, takes the lease away.
const leaseStepSet = `lease_token = i.token, lease_until = now() + i.d, lease_worker = i.worker, next_attempt_at = NULL,
	lost = CASE WHEN b.lease_token IS NULL THEN 0 ELSE b.lost + 1 END`

func (l *Ledger) leaseStep(ctx context.Context, tx pgx.Tx, id string, state State, token uuid.UUID, p ClaimParams) error {
	tag, err := tx.Exec(ctx, l.c.sql(`
		UPDATE {{schema}}.backup b SET `+leaseStepSet+`
		FROM (SELECT @token::uuid AS token, @d::interval AS d, @worker::text AS worker) i
		WHERE b.id = @id AND b.state = @state AND (b.lease_until IS NULL OR b.lease_until < now())`),
		named{"id": id, "state": state, "token": token, "d": p.Duration, "worker": p.Worker})
	if err != nil {
		return fmt.Errorf("claim backup: %w", err)
	}
	if tag.RowsAffected() > 0 {
		return nil
	}
	return l.leased(ctx, tx, `SELECT lease_until - now() FROM {{schema}}.backup WHERE id = @id`, id)
}

// leased makes the error that says how long another worker's lease lasts.
func (l *Ledger) leased(ctx context.Context, tx pgx.Tx, query, id string) error {
	var rest *time.Duration
	if err := tx.QueryRow(ctx, l.c.sql(query), named{"id": id}).Scan(&rest); err != nil {
		return fmt.Errorf("read lease: %w", err)
	}
	if rest == nil {
		return ErrLeaseLost
	}
	return &LeasedError{Remaining: *rest}
}

// step runs fn on the backup whose step in that state is leased.
func (l *Ledger) step(ctx context.Context, lease Lease, state State, fn func(*change) error) error {
	return l.stepOf(ctx, lease, state, func(*pgx.Batch) {}, fn)
}

// stepOf is step for a fn that needs what queue reads, too.
func (l *Ledger) stepOf(ctx context.Context, lease Lease, state State, queue func(*pgx.Batch), fn func(*change) error) error {
	return l.c.inChangeOf(ctx, lease.BackupID, queue, func(ch *change) error {
		if ch.b.State != state || ch.b.leaseToken == nil || *ch.b.leaseToken != lease.Token {
			return ErrLeaseLost
		}
		return fn(ch)
	})
}

// Planned is an export that a backup will have.
type Planned struct {
	Provider string
	Size     int64 // bytes that the source announced, or -1
}

// FinishPlan makes one task per export, with its River job, and sets the backup
// running.
func (l *Ledger) FinishPlan(ctx context.Context, lease Lease, exports []Planned) error {
	if done, err := l.finishPlanned(ctx, lease, exports); done || err != nil {
		return err
	}
	var older int
	read := func(batch *pgx.Batch) {
		batch.Queue(l.c.sql(olderOpen), named{"id": lease.BackupID}).QueryRow(func(row pgx.Row) error { return row.Scan(&older) })
	}
	return l.stepOf(ctx, lease, StatePending, read, func(ch *change) error {
		plan := &planEnd{lease: lease, exports: exports, backup: ch.b, older: older}
		// Their River jobs come first, so that the rows are written once.
		jobs, err := l.c.river.InsertManyTx(ctx, ch.tx, plan.plan(l.c))
		if err != nil {
			return fmt.Errorf("insert River jobs: %w", err)
		}
		plan.take(jobs)
		for _, t := range plan.tasks {
			ch.emitTask(t)
		}
		ch.b.State, ch.b.openTasks, ch.b.failures, ch.failure = StateRunning, len(plan.tasks), 0, nil
		l.c.queueTaskRows(&ch.last, plan.tasks)
		return nil
	})
}

// queueTaskRows inserts the tasks' rows.
func (c *Client) queueTaskRows(batch *pgx.Batch, tasks []*Task) {
	n := len(tasks)
	ids, backups, providers, keys := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	uploads, sizes, jobs := make([]uuid.UUID, n), make([]*int64, n), make([]*int64, n)
	for i, t := range tasks {
		ids[i], backups[i], providers[i], keys[i] = t.ID, t.BackupID, t.Provider, t.ObjectKey
		uploads[i], sizes[i], jobs[i] = t.uploadID, t.AnnouncedSize, t.riverJobID
	}
	batch.Queue(c.sql(`
		INSERT INTO {{schema}}.backup_task (backup_id, id, provider, upload_id, object_key, announced_size, river_job_id)
		SELECT t.* FROM unnest(@backups::uuid[], @ids::uuid[], @providers::text[], @uploads::uuid[], @keys::text[], @sizes::bigint[], @jobs::bigint[]) AS t`),
		named{"backups": backups, "ids": ids, "providers": providers, "uploads": uploads, "keys": keys, "sizes": sizes, "jobs": jobs})
}

// FailStep records that a step failed, and ends the lease. If that was final the
// backup is failed, or, where it is being deleted, stays so until somebody asks again.
func (l *Ledger) FailStep(ctx context.Context, w *StepWork, cause *ClassError, p RetryPolicy) (out Outcome, err error) {
	if w.Backup.State == StateDeleting || w.Backup.State == StateDone {
		return l.failRequested(ctx, w, cause, p)
	}
	err = l.step(ctx, w.Lease, w.Backup.State, func(ch *change) error {
		since, err := ch.stepAge(ctx)
		if err != nil {
			return err
		}
		if out = ch.failedStep(cause, p, since); out.Final {
			return ch.failStep(cause.Failure())
		}
		ch.failure = cause.Failure()
		return l.endStepLease(ctx, ch.tx, w.Lease, out.Delay)
	})
	return out, err
}

// failStep fails a step for good.
func (ch *change) failStep(f *Failure) error {
	switch ch.b.State {
	case StateDone:
		return ch.endVerify(&Verification{Failure: f})
	case StateDeleting: // the caller ends the lease
		ch.failure = f
		ch.emit(EventUpdateBackup, "", backupData{State: ch.b.State, Failure: f})
		ch.endRequest()
	default:
		ch.failure, ch.b.State = f, StateFailed
	}
	return nil
}

// stepAge is how long ago the step could begin: the backup was asked for, or its
// last task ended. Waits that the store asks for use no attempt up for a day.
func (ch *change) stepAge(ctx context.Context) (age time.Duration, err error) {
	err = ch.tx.QueryRow(ctx, ch.c.sql(`SELECT now() - greatest(@created::timestamptz, (SELECT max(finished_at) FROM {{schema}}.backup_task WHERE backup_id = @id))`),
		named{"id": ch.b.ID, "created": ch.b.CreatedAt}).Scan(&age)
	if err != nil {
		return 0, fmt.Errorf("read age of step: %w", err)
	}
	return age, nil
}

// ReleaseStep ends the lease, so that another worker goes on at once.
func (l *Ledger) ReleaseStep(ctx context.Context, lease Lease) error {
	return l.c.inTx(ctx, func(tx pgx.Tx) error { return l.endStepLease(ctx, tx, lease, 0) })
}

func (l *Ledger) endStepLease(ctx context.Context, tx pgx.Tx, lease Lease, delay time.Duration) error {
	tag, err := tx.Exec(ctx, l.c.sql(`
		UPDATE {{schema}}.backup SET lease_token = NULL, lease_until = NULL,
			next_attempt_at = CASE WHEN @delay::interval > '0' THEN now() + @delay::interval END
		WHERE id = @id AND lease_token = @token`),
		named{"id": lease.BackupID, "token": lease.Token, "delay": delay})
	return oneRow(tag.RowsAffected(), err, "release backup")
}

func newToken() (uuid.UUID, error) {
	token, err := uuid.NewRandom()
	if err != nil {
		return token, fmt.Errorf("make lease token: %w", err)
	}
	return token, nil
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
