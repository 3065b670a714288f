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

// StepWork is the planning or sealing of a backup, claimed.
type StepWork struct {
	Lease
	Backup *Backup // with its tasks
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
		b, _, err = l.c.insertBackup(ctx, tx, &p)
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
	token, err := newToken()
	if err != nil {
		return nil, err
	}
	err = l.c.inTx(ctx, func(tx pgx.Tx) error {
		if !validID(id) {
			return &IdleError{Reason: "no such backup"}
		}
		b, err := l.c.oneBackup(ctx, tx, "WHERE b.id = @id FOR NO KEY UPDATE", pgx.StrictNamedArgs{"id": id})
		if errors.Is(err, ErrNotFound) {
			return &IdleError{Reason: "the backup is gone"}
		}
		if err != nil {
			return err
		}
		if b.riverJobID == nil || *b.riverJobID != p.JobID {
			return &IdleError{Reason: "another River job is responsible for backup " + id}
		}
		if b.State != state {
			return &IdleError{Reason: fmt.Sprintf("backup %s is %s", id, b.State), Done: true}
		}
		if err := l.leaseStep(ctx, tx, id, state, token, p); err != nil {
			return err
		}
		b.Tasks, err = l.c.tasks(ctx, tx, id)
		w = &StepWork{Lease: Lease{BackupID: id, Token: token}, Backup: b}
		return err
	})
	return w, err
}

func (l *Ledger) leaseStep(ctx context.Context, tx pgx.Tx, id string, state State, token uuid.UUID, p ClaimParams) error {
	tag, err := tx.Exec(ctx, l.c.sql(`
		UPDATE {{schema}}.backup SET lease_token = @token, lease_until = now() + @d::interval, lease_worker = @worker, next_attempt_at = NULL
		WHERE id = @id AND state = @state AND (lease_until IS NULL OR lease_until < now())`),
		pgx.StrictNamedArgs{"id": id, "state": state, "token": token, "d": p.Duration, "worker": p.Worker})
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
	if err := tx.QueryRow(ctx, l.c.sql(query), pgx.StrictNamedArgs{"id": id}).Scan(&rest); err != nil {
		return fmt.Errorf("read lease: %w", err)
	}
	if rest == nil {
		return ErrLeaseLost
	}
	return &LeasedError{Remaining: *rest}
}

// step runs fn on the backup whose planning or sealing is leased.
func (l *Ledger) step(ctx context.Context, lease Lease, state State, fn func(*change) error) error {
	return l.c.inChange(ctx, lease.BackupID, func(ch *change) error {
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
	return l.step(ctx, lease, StatePending, func(ch *change) error {
		tasks := make([]*Task, len(exports))
		for i, e := range exports {
			t, err := ch.insertTask(ctx, e)
			if err != nil {
				return err
			}
			tasks[i] = t
			ch.emitTask(t)
		}
		ch.b.State, ch.b.openTasks, ch.b.failures, ch.failure = StateRunning, len(tasks), 0, nil
		return ch.insertTaskJobs(ctx, tasks)
	})
}

func (ch *change) insertTask(ctx context.Context, e Planned) (*Task, error) {
	upload, provider := uuid.New(), e.Provider
	rows, err := ch.tx.Query(ctx, ch.c.sql(`
		INSERT INTO {{schema}}.backup_task AS t (id, backup_id, provider, upload_id, object_key, announced_size)
		VALUES (@id, @backup, @provider, @upload, @key, nullif(@size::bigint, -1)) RETURNING `+taskColumns),
		pgx.StrictNamedArgs{
			"id": newID(), "backup": ch.b.ID, "provider": provider,
			"upload": upload, "key": ch.c.objectKey(ch.b, provider, upload), "size": e.Size,
		})
	if err != nil {
		return nil, fmt.Errorf("insert task %s: %w", provider, err)
	}
	t, err := pgx.CollectExactlyOneRow(rows, scanTask)
	if err != nil {
		return nil, fmt.Errorf("insert task %s: %w", provider, err)
	}
	return t, nil
}

// SaveManifest stores the manifest's bytes and key in the row of a sealing
// backup, before they are written to the store. If they are there already it
// returns those.
func (l *Ledger) SaveManifest(ctx context.Context, lease Lease) (data []byte, key string, err error) {
	err = l.step(ctx, lease, StateSealing, func(ch *change) error {
		err := ch.tx.QueryRow(ctx, l.c.sql(`SELECT manifest, coalesce(manifest_key, '') FROM {{schema}}.backup WHERE id = @id`),
			pgx.StrictNamedArgs{"id": ch.b.ID}).Scan(&data, &key)
		if err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
		if data != nil {
			return nil
		}
		if data, err = ch.buildManifest(ctx); err != nil {
			return err
		}
		key = l.c.manifestKey(ch.b)
		_, err = ch.tx.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup SET manifest = @data, manifest_key = @key WHERE id = @id`),
			pgx.StrictNamedArgs{"id": ch.b.ID, "data": data, "key": key})
		if err != nil {
			return fmt.Errorf("save manifest: %w", err)
		}
		return nil
	})
	return data, key, err
}

// FinishSeal makes a sealing backup done. Its manifest must be in the store.
func (l *Ledger) FinishSeal(ctx context.Context, lease Lease) error {
	return l.step(ctx, lease, StateSealing, func(ch *change) error {
		ch.b.State, ch.failure = StateDone, nil
		return nil
	})
}

// FailStep records that planning or sealing failed, and ends the lease. If that
// was final the backup is failed.
func (l *Ledger) FailStep(ctx context.Context, w *StepWork, cause *ClassError, p RetryPolicy) (out Outcome, err error) {
	err = l.step(ctx, w.Lease, w.Backup.State, func(ch *change) error {
		if out = p.decide(cause, ch.b.failures, 0); ch.b.failures+1 >= p.MaxAttempts {
			out.Final = true // a step has no other bound
		}
		ch.b.failures++
		ch.failure = cause.Failure()
		if out.Final {
			ch.b.State = StateFailed
			return nil
		}
		return l.endStepLease(ctx, ch.tx, w.Lease, out.Delay)
	})
	return out, err
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
		pgx.StrictNamedArgs{"id": lease.BackupID, "token": lease.Token, "delay": delay})
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
