package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// FinishTask makes a committing task done. Its object must be in the store.
func (l *Ledger) FinishTask(ctx context.Context, lease Lease) error {
	return l.task(ctx, lease, TaskCommitting, func(ch *change, t *Task) error {
		return ch.endTask(ctx, t, TaskDone, nil)
	})
}

// FailTask records that an attempt failed, and ends the lease. If that was
// final the task is failed, and the backup with it.
func (l *Ledger) FailTask(ctx context.Context, lease Lease, cause *ClassError, p RetryPolicy) (out Outcome, err error) {
	err = l.task(ctx, lease, "", func(ch *change, t *Task) error {
		out, err = ch.failAttempt(ctx, t, cause, p)
		return err
	})
	return out, err
}

func (ch *change) failAttempt(ctx context.Context, t *Task, cause *ClassError, p RetryPolicy) (Outcome, error) {
	var age time.Duration
	err := ch.tx.QueryRow(ctx, ch.c.sql(`SELECT now() - started_at FROM {{schema}}.backup_task WHERE id = @id`),
		pgx.StrictNamedArgs{"id": t.ID}).Scan(&age)
	if err != nil {
		return Outcome{}, fmt.Errorf("read age: %w", err)
	}
	out := p.decide(cause, t.failures, age)
	switch {
	case out.Final:
		return out, ch.failTask(ctx, t, cause.Failure())
	case ch.ending() && t.State == TaskRunning:
		return Outcome{Final: true}, ch.endTask(ctx, t, TaskCanceled, cause.Failure())
	default:
		return out, ch.postponeTask(ctx, t, cause.Failure(), out.Delay, cause.Class != ClassRetryAfter)
	}
}

// failTask fails a task for good and, unless the backup goes on without it,
// its siblings with it.
func (ch *change) failTask(ctx context.Context, t *Task, f *Failure) error {
	ch.b.failedTasks++
	named := *f
	named.Message = oneLine(t.Provider + ": " + f.Message)
	ch.failure = &named
	if !ch.b.ContinueOnFailure {
		if err := ch.endTaskRow(ctx, t, TaskFailed, f); err != nil {
			return err
		}
		if err := ch.cancelOpenTasks(ctx); err != nil {
			return err
		}
		return ch.settle(ctx)
	}
	return ch.endTask(ctx, t, TaskFailed, f)
}

// endTask ends a task, and the backup with it if that was the last one.
func (ch *change) endTask(ctx context.Context, t *Task, state TaskState, f *Failure) error {
	if err := ch.endTaskRow(ctx, t, state, f); err != nil {
		return err
	}
	return ch.settle(ctx)
}

func (ch *change) endTaskRow(ctx context.Context, t *Task, state TaskState, f *Failure) error {
	if f == nil {
		f = &Failure{}
	}
	rows, err := ch.tx.Query(ctx, ch.c.sql(`
		UPDATE {{schema}}.backup_task t SET state = @state, finished_at = now(), next_attempt_at = NULL, lease_token = NULL, lease_until = NULL,
			failures = failures + CASE WHEN @state = 'failed' THEN 1 ELSE 0 END,
			error_class = nullif(@class, ''), error = nullif(@error, ''), error_hint = nullif(@hint, '')
		WHERE id = @id AND state = @was RETURNING `+taskColumns),
		pgx.StrictNamedArgs{"id": t.ID, "was": t.State, "state": state, "class": string(f.Class), "error": f.Message, "hint": f.Hint})
	if err != nil {
		return fmt.Errorf("end task: %w", err)
	}
	ended, err := pgx.CollectOneRow(rows, scanTask)
	if err != nil {
		return fmt.Errorf("end task: %w", err)
	}
	ch.b.openTasks--
	ch.emitTask(ended)
	return nil
}

// postponeTask ends the lease until the next attempt. A task that has passed
// the gate stays behind it.
func (ch *change) postponeTask(ctx context.Context, t *Task, f *Failure, delay time.Duration, count bool) error {
	rows, err := ch.tx.Query(ctx, ch.c.sql(`
		UPDATE {{schema}}.backup_task t SET state = CASE WHEN state = 'running' THEN 'pending' ELSE state END,
			failures = failures + CASE WHEN @count THEN 1 ELSE 0 END,
			next_attempt_at = CASE WHEN @delay::interval > '0' THEN now() + @delay::interval END,
			lease_token = NULL, lease_until = NULL,
			error_class = coalesce(nullif(@class, ''), error_class), error = coalesce(nullif(@error, ''), error),
			error_hint = CASE WHEN @class = '' THEN error_hint ELSE nullif(@hint, '') END
		WHERE id = @id AND state = @was RETURNING `+taskColumns),
		pgx.StrictNamedArgs{
			"id": t.ID, "was": t.State, "count": count, "delay": delay,
			"class": string(f.Class), "error": f.Message, "hint": f.Hint,
		})
	if err != nil {
		return fmt.Errorf("postpone task: %w", err)
	}
	postponed, err := pgx.CollectOneRow(rows, scanTask)
	if err != nil {
		return fmt.Errorf("postpone task: %w", err)
	}
	ch.emitTask(postponed)
	return nil
}

// ReleaseTask ends the lease without counting the attempt, so that another
// worker goes on at once.
func (l *Ledger) ReleaseTask(ctx context.Context, lease Lease) error {
	return l.task(ctx, lease, "", func(ch *change, t *Task) error {
		if ch.ending() && t.State == TaskRunning {
			return ch.endTask(ctx, t, TaskCanceled, nil)
		}
		return ch.postponeTask(ctx, t, &Failure{}, 0, false)
	})
}

// LoseTask is FailTask where what is stored can't be gone on from: a task that
// is committing and has neither its object nor its parts in the store, or one
// whose export was not proven. The next attempt, if there is one, begins at the
// first byte under a new upload id.
func (l *Ledger) LoseTask(ctx context.Context, lease Lease, cause *ClassError, p RetryPolicy) (out Outcome, err error) {
	err = l.task(ctx, lease, "", func(ch *change, t *Task) error {
		upload := uuid.New()
		_, err := ch.tx.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup_task SET state = 'running', `+resetJournal+` WHERE id = @id AND state = @was`),
			pgx.StrictNamedArgs{"id": t.ID, "was": t.State, "upload": upload, "key": l.c.objectKey(ch.b, t.Provider, upload)})
		if err != nil {
			return fmt.Errorf("take task back: %w", err)
		}
		if err := ch.dropParts(ctx, t.ID); err != nil {
			return err
		}
		t.State = TaskRunning
		out, err = ch.failAttempt(ctx, t, cause, p)
		return err
	})
	return out, err
}
