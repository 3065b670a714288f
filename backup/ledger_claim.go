package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// TaskWork is a task, claimed.
type TaskWork struct {
	Lease
	Backup *Backup
	Task   *Task

	UploadID   uuid.UUID
	SHA256     []byte           // of the whole export, as announced under Validator; nil if it wasn't
	Validator  string           // under which the journaled bytes were read
	Cursor     string           // behind them, for a source that is resumed by one
	Checkpoint *blob.Checkpoint // the journal; nil when it is empty
}

// Content is the final content of a task that is committing.
func (w *TaskWork) Content() *blob.Content {
	c := &blob.Content{Size: w.Task.Size}
	copy(c.SHA256[:], w.Task.SHA256)
	if w.Checkpoint != nil {
		c.Parts = w.Checkpoint.Parts
	}
	return c
}

// ClaimTask claims a task: a pending one becomes running; one that is running
// or committing and whose lease has ended goes on where it was. One whose next attempt
// isn't due yet is an *EarlyError.
func (l *Ledger) ClaimTask(ctx context.Context, a TaskArgs, p ClaimParams) (w *TaskWork, err error) {
	token, err := newToken()
	if err != nil {
		return nil, err
	}
	if w, err = l.claimFresh(ctx, a, token, p); w != nil || err != nil {
		return w, err
	}
	var waits string
	failed := false
	err = l.c.inChange(ctx, a.BackupID, func(ch *change) error {
		waits = ""
		t, err := ch.task(ctx, a.TaskID)
		if errors.Is(err, ErrNotFound) {
			return &IdleError{Reason: "the task is gone"}
		}
		if err != nil {
			return err
		}
		if err := idle(ch.b, t, p.JobID); err != nil {
			return err
		}
		if failed, err = ch.early(ctx, t); err != nil || failed {
			return err
		}
		if waits, err = ch.takeSlot(ctx, t); err != nil || waits != "" {
			return err
		}
		was := t.State
		if t, err = l.leaseTask(ctx, ch.tx, t.ID, token, p); err != nil {
			return err
		}
		if was == TaskPending {
			ch.emitTask(t)
		}
		w = newWork(ch.b, t, token)
		w.Checkpoint, err = ch.checkpoint(ctx, t)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, &IdleError{Reason: "the backup is gone"}
	case err == nil && failed:
		return nil, &IdleError{Reason: "the task is failed"}
	case err == nil && waits != "":
		return nil, &WaitError{Reason: waits}
	}
	return w, err
}

func newWork(b *Backup, t *Task, token uuid.UUID) *TaskWork {
	return &TaskWork{Lease: Lease{b.ID, t.ID, token}, Backup: b, Task: t, UploadID: t.uploadID, Validator: t.validator, Cursor: t.cursor, SHA256: t.announcedSum}
}

// WaitError means that a task can't run now because of a limit over all
// processes. It gets another River job when there is room.
type WaitError struct{ Reason string }

func (e *WaitError) Error() string { return e.Reason }

// idle says why job has nothing to do for the task, or nil.
func idle(b *Backup, t *Task, job int64) error {
	switch {
	case t.State == TaskDone:
		return &IdleError{Reason: "the task is done", Done: true}
	case t.State.Terminal():
		return &IdleError{Reason: fmt.Sprintf("the task is %s", t.State)}
	case t.riverJobID == nil || *t.riverJobID != job:
		return &IdleError{Reason: "another River job is responsible for the task"}
	case b.State != StateRunning:
		return &IdleError{Reason: fmt.Sprintf("the backup is %s", b.State)}
	}
	return nil
}

// leaseTaskSet is the claim of a task's row. It takes i.token, i.d and i.worker.
const leaseTaskSet = `state = CASE WHEN t.state = 'pending' THEN 'running' ELSE t.state END,
	started_at = coalesce(t.started_at, now()), next_attempt_at = NULL,
	claims = t.claims + 1, claimed_at = now(), from_bytes = t.stored_bytes,
	lease_token = i.token, lease_until = now() + i.d, lease_worker = i.worker`

func (l *Ledger) leaseTask(ctx context.Context, tx pgx.Tx, id string, token uuid.UUID, p ClaimParams) (*Task, error) {
	rows, err := tx.Query(ctx, l.c.sql(`
		UPDATE {{schema}}.backup_task t SET `+leaseTaskSet+`, `+endAttempt+`
		FROM (SELECT @token::uuid AS token, @d::interval AS d, @worker::text AS worker) i
		WHERE t.id = @id AND t.state IN ('pending', 'running', 'committing') AND (t.lease_until IS NULL OR t.lease_until < now())
		RETURNING `+taskColumns),
		ending(AttemptLost, nil, 0, named{"id": id, "token": token, "d": p.Duration, "worker": p.Worker}))
	if err != nil {
		return nil, fmt.Errorf("claim task: %w", err)
	}
	t, err := pgx.CollectOneRow(rows, scanTask)
	if isNoRows(err) {
		return nil, l.leased(ctx, tx, `SELECT lease_until - now() FROM {{schema}}.backup_task WHERE id = @id`, id)
	}
	if err != nil {
		return nil, fmt.Errorf("claim task: %w", err)
	}
	return t, nil
}

const taskOf = `SELECT ` + taskColumns + ` FROM {{schema}}.backup_task t WHERE t.id = @id AND t.backup_id = @backup`

// task reads one of the backup's tasks.
func (ch *change) task(ctx context.Context, id string) (*Task, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	rows, err := ch.tx.Query(ctx, ch.c.sql(taskOf),
		named{"id": id, "backup": ch.b.ID})
	if err != nil {
		return nil, fmt.Errorf("read task: %w", err)
	}
	t, err := pgx.CollectOneRow(rows, scanTask)
	if isNoRows(err) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read task: %w", err)
	}
	return t, nil
}

// checkpoint reads a task's journal.
func (ch *change) checkpoint(ctx context.Context, t *Task) (*blob.Checkpoint, error) {
	if t.StoredParts == 0 {
		return nil, nil //nolint:nilnil // an empty journal
	}
	parts, err := ch.parts(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	c := &blob.Checkpoint{Parts: parts, Offset: t.StoredBytes, SHA256: t.hashState, Cursor: t.cursor}
	if t.stagedAt != nil {
		c.StagedAt = *t.stagedAt
	}
	return c, nil
}

func (ch *change) parts(ctx context.Context, taskID string) ([]blob.Part, error) {
	rows, err := ch.tx.Query(ctx, ch.c.sql(`SELECT part_id, size, crc64 FROM {{schema}}.backup_part WHERE task_id = @id ORDER BY idx`),
		named{"id": taskID})
	if err != nil {
		return nil, fmt.Errorf("read parts: %w", err)
	}
	parts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p blob.Part, err error) {
		var id string
		var crc int64
		if err := row.Scan(&id, &p.Size, &crc); err != nil {
			return p, err
		}
		p.CRC64 = uint64(crc) //nolint:gosec // the same 64 bits
		p.ID, err = blob.ParsePartID(id)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read parts: %w", err)
	}
	return parts, nil
}
