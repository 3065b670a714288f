package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	Validator  string           // under which the journaled bytes were read
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
// or committing and whose lease has ended goes on where it was.
func (l *Ledger) ClaimTask(ctx context.Context, a TaskArgs, p ClaimParams) (w *TaskWork, err error) {
	token, err := newToken()
	if err != nil {
		return nil, err
	}
	err = l.c.inChange(ctx, a.BackupID, func(ch *change) error {
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
		was := t.State
		if t, err = l.leaseTask(ctx, ch.tx, t.ID, token, p); err != nil {
			return err
		}
		if was == TaskPending {
			ch.emitTask(t)
		}
		w = &TaskWork{Lease: Lease{ch.b.ID, t.ID, token}, Backup: ch.b, Task: t, UploadID: t.uploadID, Validator: t.validator}
		w.Checkpoint, err = ch.checkpoint(ctx, t)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil, &IdleError{Reason: "the backup is gone"}
	}
	return w, err
}

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

func (l *Ledger) leaseTask(ctx context.Context, tx pgx.Tx, id string, token uuid.UUID, p ClaimParams) (*Task, error) {
	rows, err := tx.Query(ctx, l.c.sql(`
		UPDATE {{schema}}.backup_task t SET state = CASE WHEN state = 'pending' THEN 'running' ELSE state END,
			started_at = coalesce(started_at, now()), next_attempt_at = NULL,
			lease_token = @token, lease_until = now() + @d::interval, lease_worker = @worker
		WHERE id = @id AND state IN ('pending', 'running', 'committing') AND (lease_until IS NULL OR lease_until < now())
		RETURNING `+taskColumns),
		pgx.StrictNamedArgs{"id": id, "token": token, "d": p.Duration, "worker": p.Worker})
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

// task reads one of the backup's tasks.
func (ch *change) task(ctx context.Context, id string) (*Task, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	rows, err := ch.tx.Query(ctx, ch.c.sql(`SELECT `+taskColumns+` FROM {{schema}}.backup_task t WHERE t.id = @id AND t.backup_id = @backup`),
		pgx.StrictNamedArgs{"id": id, "backup": ch.b.ID})
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
	return &blob.Checkpoint{Parts: parts, Offset: t.StoredBytes, SHA256: t.hashState}, nil
}

func (ch *change) parts(ctx context.Context, taskID string) ([]blob.Part, error) {
	rows, err := ch.tx.Query(ctx, ch.c.sql(`SELECT part_id, size, crc64 FROM {{schema}}.backup_part WHERE task_id = @id ORDER BY idx`),
		pgx.StrictNamedArgs{"id": taskID})
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

// Source is what a worker learns of an export when it opens it.
type Source struct {
	Resumed     bool // the export goes on behind the journal; else it begins at its first byte
	Validator   string
	ContentType string
	Size        int64 // of the whole export, or -1
}

// OpenTask records the export that a worker is about to read. Unless it was
// resumed, the journal is emptied and, if anything was ever staged, the upload
// gets a new id and the object a new key: both are returned.
func (l *Ledger) OpenTask(ctx context.Context, w *TaskWork, s Source) error {
	if s.Resumed {
		tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`
			UPDATE {{schema}}.backup_task SET announced_size = nullif(@size::bigint, -1) WHERE id = @id AND lease_token = @token AND state = 'running'`),
			pgx.StrictNamedArgs{"id": w.TaskID, "token": w.Token, "size": s.Size})
		return oneRow(tag.RowsAffected(), err, "open task")
	}
	upload := w.UploadID
	if w.Task.CaptureStartedAt != nil {
		upload = uuid.New()
	}
	key := l.c.objectKey(w.Backup, w.Task.Provider, upload)
	err := l.task(ctx, w.Lease, TaskRunning, func(ch *change, _ *Task) error {
		_, err := ch.tx.Exec(ctx, l.c.sql(`
			UPDATE {{schema}}.backup_task SET `+resetJournal+` WHERE id = @id`),
			pgx.StrictNamedArgs{"id": w.TaskID, "upload": upload, "key": key})
		if err != nil {
			return fmt.Errorf("open task: %w", err)
		}
		_, err = ch.tx.Exec(ctx, l.c.sql(`
			UPDATE {{schema}}.backup_task SET validator = @validator, content_type = @type, announced_size = nullif(@size::bigint, -1),
				capture_started_at = now() WHERE id = @id`),
			pgx.StrictNamedArgs{"id": w.TaskID, "validator": s.Validator, "type": s.ContentType, "size": s.Size})
		if err != nil {
			return fmt.Errorf("open task: %w", err)
		}
		return ch.dropParts(ctx, w.TaskID)
	})
	if err != nil {
		return err
	}
	w.UploadID, w.Task.ObjectKey, w.Task.ContentType, w.Checkpoint = upload, key, s.ContentType, nil
	return nil
}

// task runs fn on the leased task, with its backup locked.
func (l *Ledger) task(ctx context.Context, lease Lease, state TaskState, fn func(*change, *Task) error) error {
	return l.c.inChange(ctx, lease.BackupID, func(ch *change) error {
		t, err := ch.task(ctx, lease.TaskID)
		if err != nil {
			return err
		}
		if t.leaseToken == nil || *t.leaseToken != lease.Token || (state != "" && t.State != state) {
			return ErrLeaseLost
		}
		return fn(ch, t)
	})
}

// JournalTask appends parts to the journal of a running task. c holds the new
// parts, and the offset and hash state behind them. With announce it writes an
// UpdatePartTask event, too.
func (l *Ledger) JournalTask(ctx context.Context, lease Lease, c *blob.Checkpoint, announce bool) error {
	return l.c.inTx(ctx, func(tx pgx.Tx) error {
		if !announce {
			return l.appendParts(ctx, tx, lease, c)
		}
		return l.c.change(ctx, tx, lease.BackupID, func(ch *change) error {
			if err := l.appendParts(ctx, tx, lease, c); err != nil {
				return err
			}
			t, err := ch.task(ctx, lease.TaskID)
			if err != nil {
				return err
			}
			ch.emit(EventUpdatePartTask, t.Provider, dataOf(t))
			return nil
		})
	})
}

func (l *Ledger) appendParts(ctx context.Context, tx pgx.Tx, lease Lease, c *blob.Checkpoint) error {
	tag, err := tx.Exec(ctx, l.c.sql(`
		UPDATE {{schema}}.backup_task SET stored_bytes = @offset, stored_parts = stored_parts + @n,
			received_bytes = greatest(received_bytes, @offset), hash_state = @hash
		WHERE id = @id AND lease_token = @token AND state = 'running'`),
		pgx.StrictNamedArgs{"id": lease.TaskID, "token": lease.Token, "offset": c.Offset, "n": len(c.Parts), "hash": c.SHA256})
	if err := oneRow(tag.RowsAffected(), err, "write journal"); err != nil {
		return err
	}
	return l.insertParts(ctx, tx, lease.TaskID, c.Parts)
}

func (l *Ledger) insertParts(ctx context.Context, tx pgx.Tx, taskID string, parts []blob.Part) error {
	if len(parts) == 0 {
		return nil
	}
	idx, ids := make([]int, len(parts)), make([]string, len(parts))
	sizes, crcs := make([]int64, len(parts)), make([]int64, len(parts))
	for i, p := range parts {
		idx[i], ids[i], sizes[i], crcs[i] = p.ID.Index(), p.ID.String(), p.Size, int64(p.CRC64) //nolint:gosec // the same 64 bits
	}
	_, err := tx.Exec(ctx, l.c.sql(`
		INSERT INTO {{schema}}.backup_part (task_id, idx, part_id, size, crc64)
		SELECT @id, p.* FROM unnest(@idx::int[], @ids::text[], @sizes::bigint[], @crcs::bigint[]) AS p`),
		pgx.StrictNamedArgs{"id": taskID, "idx": idx, "ids": ids, "sizes": sizes, "crcs": crcs})
	if err != nil {
		return fmt.Errorf("write parts: %w", err)
	}
	return nil
}

// GateTask takes a running task through the commit gate: from then on whoever
// holds its lease commits exactly content. Parts that the journal has already
// must be the first of content's.
func (l *Ledger) GateTask(ctx context.Context, w *TaskWork, content *blob.Content, proof Proof) error {
	return l.task(ctx, w.Lease, TaskRunning, func(ch *change, t *Task) error {
		if t.StoredParts > len(content.Parts) {
			return Permanent(fmt.Errorf("journal has %d parts and the upload %d", t.StoredParts, len(content.Parts)), "this is a bug")
		}
		if err := l.insertParts(ctx, ch.tx, t.ID, content.Parts[t.StoredParts:]); err != nil {
			return err
		}
		rows, err := ch.tx.Query(ctx, l.c.sql(`
			UPDATE {{schema}}.backup_task t SET state = 'committing', size = @size, sha256 = @sha256, proof = @proof,
				stored_bytes = @size, stored_parts = @parts, received_bytes = @size, hash_state = NULL, capture_finished_at = now()
			WHERE id = @id AND lease_token = @token AND state = 'running'
				AND (SELECT count(*) = @parts AND coalesce(sum(size), 0) = @size FROM {{schema}}.backup_part p WHERE p.task_id = t.id)
			RETURNING `+taskColumns),
			pgx.StrictNamedArgs{
				"id": t.ID, "token": w.Token, "size": content.Size, "sha256": content.SHA256[:],
				"proof": proof, "parts": len(content.Parts),
			})
		if err != nil {
			return fmt.Errorf("pass commit gate: %w", err)
		}
		gated, err := pgx.CollectOneRow(rows, scanTask)
		if isNoRows(err) {
			return Permanent(errors.New("pass commit gate: the journal's parts are not those of the upload"), "this is a bug")
		}
		if err != nil {
			return fmt.Errorf("pass commit gate: %w", err)
		}
		ch.emitTask(gated)
		return nil
	})
}

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
		return out, ch.failTask(ctx, t, failureOf(cause))
	case ch.ending() && t.State == TaskRunning:
		return Outcome{Final: true}, ch.endTask(ctx, t, TaskCanceled, failureOf(cause))
	default:
		return out, ch.postponeTask(ctx, t, failureOf(cause), out.Delay, cause.Class != ClassRetryAfter)
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

// LoseTask takes a committing task back before the gate, because neither its
// object nor its parts are in the store any more: the next attempt begins at
// the first byte under a new upload id. It counts as a failure, and ends the
// lease.
func (l *Ledger) LoseTask(ctx context.Context, lease Lease, cause *ClassError, p RetryPolicy) (out Outcome, err error) {
	err = l.task(ctx, lease, TaskCommitting, func(ch *change, t *Task) error {
		upload := uuid.New()
		_, err := ch.tx.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup_task SET state = 'running', `+resetJournal+` WHERE id = @id AND state = 'committing'`),
			pgx.StrictNamedArgs{"id": t.ID, "upload": upload, "key": l.c.objectKey(ch.b, t.Provider, upload)})
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
