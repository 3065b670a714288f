package backup

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Retry runs a failed or canceled backup again: the step that failed, and of
// the tasks those that aren't done, each from where its journal ends. Done
// tasks whose export is older than Config.MaxSkew are exported again. A backup
// in any other state gives a *StateError; one whose user's backups are being erased
// gives an *ErasingError.
func (c *Client) Retry(ctx context.Context, id string) (b *Backup, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		b, err = c.RetryTx(ctx, tx, id)
		return err
	})
	return b, err
}

// RetryTx is Retry as a part of tx.
func (c *Client) RetryTx(ctx context.Context, tx pgx.Tx, id string) (*Backup, error) {
	if err := c.change(ctx, tx, id, func(ch *change) error { return ch.retry(ctx) }); err != nil {
		return nil, err
	}
	return c.GetTx(ctx, tx, id)
}

func (ch *change) retry(ctx context.Context) error {
	if ch.b.State != StateFailed && ch.b.State != StateCanceled {
		return &StateError{Verb: "retry", State: ch.b.State}
	}
	if err := ch.notErasing(ctx); err != nil {
		return err
	}
	ch.canceling, ch.failure, ch.b.failures, ch.b.failedTasks = false, nil, 0, 0
	// Another one may have become the active one of its user's site.
	ch.last.Queue(ch.c.sql(`UPDATE {{schema}}.backup SET exclusive = false WHERE id = @id AND exclusive`), named{"id": ch.b.ID})
	if err := ch.reopenOld(ctx); err != nil {
		return err
	}
	tasks, total, err := ch.reopenTasks(ctx)
	if err != nil {
		return err
	}
	switch {
	case total == 0:
		ch.b.State = StatePending
		return ch.insertPlanJob(ctx)
	case len(tasks) == 0:
		return ch.beginSealing(ctx)
	default:
		ch.b.State, ch.b.openTasks = StateRunning, len(tasks)
		return ch.insertTaskJobs(ctx, tasks)
	}
}

// reopenOld begins tasks again that have passed the commit gate with an export
// that is too old to stand beside one that is made now.
func (ch *change) reopenOld(ctx context.Context) error {
	tasks, err := ch.c.tasks(ctx, ch.tx, ch.b.ID)
	if err != nil {
		return err
	}
	var reopened int64
	for _, t := range tasks {
		upload := uuid.New()
		tag, err := ch.tx.Exec(ctx, ch.c.sql(`
			UPDATE {{schema}}.backup_task SET state = 'canceled', `+resetJournal+`
			WHERE id = @id AND state IN ('done', 'failed', 'canceled') AND capture_finished_at < now() - @skew::interval`),
			named{"id": t.ID, "upload": upload, "key": ch.c.objectKey(ch.b, t.Provider, upload), "skew": ch.c.cfg.MaxSkew})
		if err != nil {
			return fmt.Errorf("begin task %s again: %w", t.Provider, err)
		}
		if tag.RowsAffected() > 0 {
			reopened++
			if err := ch.dropParts(ctx, t.ID); err != nil {
				return err
			}
		}
	}
	if reopened == 0 {
		return nil
	}
	ch.b.generation++
	_, err = ch.tx.Exec(ctx, ch.c.sql(`UPDATE {{schema}}.backup SET manifest = NULL, manifest_key = NULL WHERE id = @id`),
		named{"id": ch.b.ID})
	if err != nil {
		return fmt.Errorf("drop manifest: %w", err)
	}
	return nil
}

// dropParts empties a task's journal.
func (ch *change) dropParts(ctx context.Context, taskID string) error {
	_, err := ch.tx.Exec(ctx, ch.c.sql(`DELETE FROM {{schema}}.backup_part WHERE task_id = @id`), named{"id": taskID})
	if err != nil {
		return fmt.Errorf("drop parts: %w", err)
	}
	return nil
}

// resetJournal makes a task's next attempt begin at the first byte under a new
// upload id. It takes @upload and @key.
const resetJournal = `upload_id = @upload, object_key = @key, validator = '', content_type = '', announced_size = NULL, announced_sha256 = NULL,
	received_bytes = 0, stored_bytes = 0, stored_parts = 0, hash_state = NULL, cursor = '', staged_at = NULL, from_bytes = 0, rate = 0, size = NULL, sha256 = NULL, proof = NULL,
	capture_started_at = NULL, capture_finished_at = NULL`

// reopenTasks puts failed and canceled tasks back: those that had passed the
// commit gate behind it, the others to pending. It returns them and how many
// tasks there are in all.
func (ch *change) reopenTasks(ctx context.Context) (tasks []*Task, total int, err error) {
	rows, err := ch.tx.Query(ctx, ch.c.sql(`
		UPDATE {{schema}}.backup_task t SET state = CASE WHEN size IS NULL THEN 'pending' ELSE 'committing' END,
			failures = 0, next_attempt_at = NULL, started_at = NULL, finished_at = NULL, progress_bytes = 0, progress_at = NULL,
			announced_size = CASE WHEN stored_parts = 0 THEN NULL ELSE announced_size END,
			error_class = NULL, error = NULL, error_hint = NULL
		WHERE t.id IN (SELECT id FROM {{schema}}.backup_task
			WHERE backup_id = @id AND state IN ('failed', 'canceled') ORDER BY id FOR NO KEY UPDATE)
		RETURNING `+taskColumns), named{"id": ch.b.ID})
	if err != nil {
		return nil, 0, fmt.Errorf("put tasks back: %w", err)
	}
	if tasks, err = pgx.CollectRows(rows, scanTask); err != nil {
		return nil, 0, fmt.Errorf("put tasks back: %w", err)
	}
	for _, t := range tasks {
		ch.emitTask(t)
	}
	all, err := ch.c.tasks(ctx, ch.tx, ch.b.ID)
	return tasks, len(all), err
}
