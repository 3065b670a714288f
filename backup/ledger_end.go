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
	if done, err := l.finishOne(ctx, lease); done || err != nil {
		return err
	}
	return l.task(ctx, lease, TaskCommitting, func(ch *change, t *Task) error {
		return ch.endTask(ctx, t, TaskDone, nil)
	})
}

// FailTask records that an attempt failed, and ends the lease. If that was
// final the task is failed, and the backup with it.
func (l *Ledger) FailTask(ctx context.Context, b Beat, cause *ClassError, p RetryPolicy) (out Outcome, err error) {
	err = l.task(ctx, b.Lease, "", func(ch *change, t *Task) error {
		t.received(b)
		if t.cameFurther() {
			t.failures, t.progressed, t.age = 0, true, nil
		}
		out, err = ch.failAttempt(ctx, t, cause, p)
		return err
	})
	return out, err
}

// received notes how far the attempt came.
func (t *Task) received(b Beat) {
	if t.State == TaskRunning {
		t.ReceivedBytes = max(t.ReceivedBytes, b.ReceivedBytes)
	}
}

// cameFurther reports whether the attempt went on behind an earlier one and
// stored more of the export than any before. Such a task isn't stuck, however
// often its source breaks off. One that always begins again is.
func (t *Task) cameFurther() bool {
	return t.fromBytes > 0 && t.StoredBytes > max(t.fromBytes, t.progressBytes)
}

func (ch *change) failAttempt(ctx context.Context, t *Task, cause *ClassError, p RetryPolicy) (Outcome, error) {
	var age time.Duration
	if t.age != nil {
		age = *t.age
	}
	out := p.decide(cause, t.failures, age)
	switch {
	case out.Final:
		return out, ch.failTask(ctx, t, cause.Failure())
	case ch.ending() && t.State == TaskRunning:
		return Outcome{Final: true}, ch.endTask(ctx, t, TaskCanceled, cause.Failure())
	default:
		if cause.Class != ClassRetryAfter {
			t.failures++
		}
		return out, ch.postponeTask(ctx, t, AttemptFailed, cause.Failure(), out.Delay)
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

// endTaskSet ends a task's row. It takes @state and what endAttempt does.
const endTaskSet = `state = @state, finished_at = now(), next_attempt_at = NULL, ` + endAttempt + `,
	lease_token = NULL, lease_until = NULL,
	error_class = nullif(@class, ''), error = nullif(@error, ''), error_hint = nullif(@hint, '')`

func (ch *change) endTaskRow(ctx context.Context, t *Task, state TaskState, f *Failure) error {
	failures := t.failures
	if state == TaskFailed {
		failures++
	}
	rows, err := ch.tx.Query(ctx, ch.c.sql(`
		UPDATE {{schema}}.backup_task t SET `+endTaskSet+`, failures = @failures
		WHERE id = @id AND state = @was RETURNING `+taskColumns),
		ending(AttemptOutcome(state), f, t.ReceivedBytes, named{"id": t.ID, "was": t.State, "state": state, "failures": failures}))
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
func (ch *change) postponeTask(ctx context.Context, t *Task, outcome AttemptOutcome, f *Failure, delay time.Duration) error {
	rows, err := ch.tx.Query(ctx, ch.c.sql(`
		UPDATE {{schema}}.backup_task t SET state = CASE WHEN state = 'running' THEN 'pending' ELSE state END,
			failures = @failures, progress_bytes = greatest(progress_bytes, stored_bytes),
			progress_at = CASE WHEN @progressed THEN now() WHEN @outcome = 'failed' THEN coalesce(progress_at, now()) ELSE progress_at END, `+endAttempt+`,
			next_attempt_at = CASE WHEN @delay::interval > '0' THEN now() + @delay::interval END,
			lease_token = NULL, lease_until = NULL,
			error_class = coalesce(nullif(@class, ''), error_class), error = coalesce(nullif(@error, ''), error),
			error_hint = CASE WHEN @class = '' THEN error_hint ELSE nullif(@hint, '') END
		WHERE id = @id AND state = @was RETURNING `+taskColumns),
		ending(outcome, f, t.ReceivedBytes, named{
			"id": t.ID, "was": t.State, "failures": t.failures, "progressed": t.progressed, "delay": delay,
		}))
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
func (l *Ledger) ReleaseTask(ctx context.Context, b Beat) error {
	return l.task(ctx, b.Lease, "", func(ch *change, t *Task) error {
		t.received(b)
		if ch.ending() && t.State == TaskRunning {
			return ch.endTask(ctx, t, TaskCanceled, nil)
		}
		if err := ch.keepSlot(ctx, t); err != nil {
			return err
		}
		return ch.postponeTask(ctx, t, AttemptHanded, nil, 0)
	})
}

// LoseTask is FailTask where what is stored can't be gone on from: a task that
// is committing and has neither its object nor its parts in the store, or one
// whose export was not proven. The next attempt, if there is one, begins at the
// first byte under a new upload id.
func (l *Ledger) LoseTask(ctx context.Context, b Beat, cause *ClassError, p RetryPolicy) (out Outcome, err error) {
	err = l.task(ctx, b.Lease, "", func(ch *change, t *Task) error {
		upload := uuid.New()
		t.received(b)
		_, err := ch.tx.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup_task SET state = 'running', size = NULL, sha256 = NULL, proof = NULL
			WHERE id = @id AND state = @was`), named{"id": t.ID, "was": t.State})
		if err != nil {
			return fmt.Errorf("take task back: %w", err)
		}
		t.State = TaskRunning
		if out, err = ch.failAttempt(ctx, t, cause, p); err != nil {
			return err
		}
		_, err = ch.tx.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup_task SET `+resetJournal+` WHERE id = @id`),
			named{"id": t.ID, "upload": upload, "key": l.c.objectKey(ch.b, t.Provider, upload)})
		if err != nil {
			return fmt.Errorf("drop journal: %w", err)
		}
		return ch.dropParts(ctx, t.ID)
	})
	return out, err
}
