package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
)

// change is one transaction's work on one backup, whose row it has locked
// before anything else. What it does to b and its events is written by flush.
type change struct {
	c  *Client
	tx pgx.Tx
	b  *Backup

	was       State // the state that was locked
	canceling bool
	failure   *Failure
	events    []event
	last      pgx.Batch // is sent with the row
}

// change locks the backup, lets fn work, and writes the row and its events.
func (c *Client) change(ctx context.Context, tx pgx.Tx, id string, fn func(*change) error) error {
	if !validID(id) {
		return ErrNotFound
	}
	b, err := c.oneBackup(ctx, tx, lockBackup, named{"id": id})
	if err != nil {
		return err
	}
	return c.changeLocked(ctx, tx, b, fn)
}

const lockBackup = "WHERE b.id = @id FOR NO KEY UPDATE"

func (c *Client) changeLocked(ctx context.Context, tx pgx.Tx, b *Backup, fn func(*change) error) error {
	ch := &change{c: c, tx: tx, b: b, was: b.State, canceling: b.CancelRequestedAt != nil, failure: b.Failure}
	if err := fn(ch); err != nil {
		return err
	}
	return ch.flush(ctx)
}

// inChange is change in a transaction of its own.
func (c *Client) inChange(ctx context.Context, id string, fn func(*change) error) error {
	return c.inChangeOf(ctx, id, func(*pgx.Batch) {}, fn)
}

// inChangeOf is inChange for a fn that needs what queue reads, too: that comes
// behind the lock, in the round trip that begins the transaction. No row there is
// ErrNotFound.
func (c *Client) inChangeOf(ctx context.Context, id string, queue func(*pgx.Batch), fn func(*change) error) error {
	if !validID(id) {
		return ErrNotFound
	}
	return c.again(func() error {
		conn, err := c.cfg.Pool.Acquire(ctx)
		if err != nil {
			return fmt.Errorf("lock backup: %w", err)
		}
		defer conn.Release()
		var b *Backup
		var batch pgx.Batch
		batch.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
		batch.Queue(boundIdle)
		batch.Queue(c.sql("SELECT "+backupColumns+" FROM {{schema}}.backup b "+lockBackup), named{"id": id}).Query(func(rows pgx.Rows) (err error) {
			b, err = pgx.CollectOneRow(rows, scanBackup)
			return err
		})
		queue(&batch)
		sent := conn.SendBatch(ctx, &batch)
		tx := &ownTx{Tx: sent.Tx()}
		defer func() { _ = tx.Rollback(ctx) }() // after the commit it does nothing
		if err := sent.Close(); isNoRows(err) {
			return ErrNotFound
		} else if err != nil {
			return fmt.Errorf("lock backup: %w", err)
		}
		if err := c.changeLocked(ctx, tx, b, fn); err != nil {
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		c.notify(tx.changed...) //nolint:contextcheck // sent for others, too
		return nil
	})
}

// changeSoon is change in a transaction of its own for one backup of many: somebody's open
// transaction on it, or what is wrong with its row, must not hold up the others. Ok is
// false where it is gone, or was locked, or its row is bad, which the log has.
func (c *Client) changeSoon(ctx context.Context, id string, fn func(*change) error) (ok bool, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
			return err
		}
		return c.change(ctx, tx, id, fn)
	})
	switch {
	case errors.Is(err, ErrNotFound), isSQLState(err, pgerrcode.LockNotAvailable):
		return false, nil
	case isBadRow(err):
		c.cfg.Logger.ErrorContext(ctx, "a backup can't be changed, and is passed over", "backup", id, "error", err)
		return false, nil
	}
	return err == nil, err
}

func (ch *change) flush(ctx context.Context) error {
	b := ch.b
	if b.State != ch.was {
		ch.emit(EventUpdateBackup, "", backupData{State: b.State, Failure: ch.failure})
	}
	var f Failure
	if ch.failure != nil {
		f = *ch.failure
	}
	names, providers, data, err := columnsOf(ch.events)
	if err != nil {
		return err
	}
	var tag pgconn.CommandTag
	ch.last.Queue(ch.c.sql(`
		WITH u AS (UPDATE {{schema}}.backup SET
			state = @state, open_tasks = @open, failed_tasks = @failed, event_seq = event_seq + @events,
			river_job_id = @job, failures = @failures, generation = @generation,
			error_class = nullif(@class, ''), error = nullif(@error, ''), error_hint = nullif(@hint, ''),
			lease_token = CASE WHEN state = @state THEN lease_token END,
			lease_until = CASE WHEN state = @state THEN lease_until END,
			next_attempt_at = CASE WHEN state = @state THEN next_attempt_at END,
			cancel_requested_at = CASE WHEN @canceling THEN coalesce(cancel_requested_at, now()) END,
			started_at = CASE WHEN @state = 'running' THEN coalesce(started_at, now()) ELSE started_at END,
			finished_at = CASE WHEN @state IN ('done', 'failed', 'canceled') THEN coalesce(finished_at, now()) END,
			late_event_at = CASE WHEN finished_at IS NOT NULL AND @events > 0 THEN now() ELSE late_event_at END,
			pruned_at = CASE WHEN @events = 0 THEN pruned_at END
			WHERE id = @id AND state = @was RETURNING id, event_seq - @events AS seq),
		e AS (INSERT INTO {{schema}}.backup_event (backup_id, seq, name, provider, data)
			SELECT u.id, u.seq + e.n, e.name, nullif(e.provider, ''), e.data
			FROM u, unnest(@names::text[], @providers::text[], @data::jsonb[]) WITH ORDINALITY AS e (name, provider, data, n))
		SELECT FROM u`),
		named{
			"names": names, "providers": providers, "data": data,
			"id": b.ID, "was": ch.was, "state": b.State, "open": b.openTasks, "failed": b.failedTasks,
			"events": len(ch.events), "job": b.riverJobID, "failures": b.failures, "generation": b.generation,
			"class": string(f.Class), "error": f.Message, "hint": f.Hint,
			"canceling": ch.canceling && !b.State.Terminal(),
		}).Exec(func(done pgconn.CommandTag) error {
		tag = done
		return nil
	})
	if len(ch.events) > 0 {
		ch.notifyOn()
	}
	err = ch.tx.SendBatch(ctx, &ch.last).Close()
	return oneRow(tag.RowsAffected(), err, "update backup")
}

// columnsOf are the columns of events.
func columnsOf(events []event) (names, providers []string, data [][]byte, err error) {
	for _, e := range events {
		raw, err := json.Marshal(e.data)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("encode event %s: %w", e.name, err)
		}
		names, providers, data = append(names, string(e.name)), append(providers, e.provider), append(data, raw)
	}
	return names, providers, data, nil
}

// settle moves a running backup on when its last open task has ended.
func (ch *change) settle(ctx context.Context) error {
	b := ch.b
	if b.State != StateRunning || b.openTasks > 0 {
		return nil
	}
	switch {
	case b.failedTasks > 0:
		b.State = StateFailed
	case ch.canceling:
		b.State = StateCanceled
	default:
		return ch.beginSealing(ctx)
	}
	return nil
}

func (ch *change) beginSealing(ctx context.Context) error {
	ch.b.State, ch.b.failures, ch.failure = StateSealing, 0, nil
	return ch.insertStepJob(ctx, ch.c.sealJob(ch.b))
}

// ending reports whether the backup is about to end without being done, and
// only waits for tasks that are committing.
func (ch *change) ending() bool {
	return ch.canceling || (ch.b.failedTasks > 0 && !ch.b.ContinueOnFailure)
}

// insertStepJob inserts the River job that plans or seals from now on.
func (ch *change) insertStepJob(ctx context.Context, job river.InsertManyParams) error {
	res, err := ch.c.river.InsertManyTx(ctx, ch.tx, []river.InsertManyParams{job})
	if err != nil {
		return fmt.Errorf("insert River job: %w", err)
	}
	ch.b.riverJobID = &res[0].Job.ID
	return nil
}

func (ch *change) insertPlanJob(ctx context.Context) error {
	rank, err := ch.rank(ctx)
	if err != nil {
		return err
	}
	return ch.insertStepJob(ctx, ch.c.planJob(ch.b, rank))
}

// insertTaskJobs inserts a River job for each task and makes it the only one
// that may work on it.
func (ch *change) insertTaskJobs(ctx context.Context, tasks []*Task) error {
	if len(tasks) == 0 {
		return nil
	}
	rank, err := ch.rank(ctx)
	if err != nil {
		return err
	}
	params := make([]river.InsertManyParams, len(tasks))
	for i, t := range tasks {
		params[i] = ch.c.taskJob(ch.b, t, rank)
	}
	res, err := ch.c.river.InsertManyTx(ctx, ch.tx, params)
	if err != nil {
		return fmt.Errorf("insert River jobs: %w", err)
	}
	ids, jobs := make([]string, len(tasks)), make([]int64, len(tasks))
	for i, t := range tasks {
		ids[i], jobs[i] = t.ID, res[i].Job.ID
	}
	_, err = ch.tx.Exec(ctx, ch.c.sql(`
		UPDATE {{schema}}.backup_task t SET river_job_id = j.job
		FROM unnest(@ids::uuid[], @jobs::bigint[]) AS j (id, job) WHERE t.id = j.id`),
		named{"ids": ids, "jobs": jobs})
	if err != nil {
		return fmt.Errorf("note River jobs: %w", err)
	}
	return nil
}

// cancelJob cancels a River job that has nothing to do any more. A job that is
// gone is fine.
func (ch *change) cancelJob(ctx context.Context, id *int64) error {
	if id == nil {
		return nil
	}
	if _, err := ch.c.river.JobCancelTx(ctx, ch.tx, *id); err != nil && !isNotFoundJob(err) {
		return fmt.Errorf("cancel River job %d: %w", *id, err)
	}
	return nil
}

// cancelOpenTasks cancels the tasks that aren't committing. Those that are
// resolve first; settle waits for them.
func (ch *change) cancelOpenTasks(ctx context.Context) error {
	rows, err := ch.tx.Query(ctx, ch.c.sql(`
		UPDATE {{schema}}.backup_task t SET state = 'canceled', finished_at = now(), next_attempt_at = NULL, `+endAttempt+`,
			lease_token = NULL, lease_until = NULL
		WHERE t.id IN (SELECT id FROM {{schema}}.backup_task
			WHERE backup_id = @id AND state IN ('pending', 'running') ORDER BY id FOR NO KEY UPDATE)
		RETURNING `+taskColumns), ending(AttemptCanceled, nil, 0, named{"id": ch.b.ID}))
	if err != nil {
		return fmt.Errorf("cancel tasks: %w", err)
	}
	tasks, err := pgx.CollectRows(rows, scanTask)
	if err != nil {
		return fmt.Errorf("cancel tasks: %w", err)
	}
	slices.SortFunc(tasks, func(a, b *Task) int { return strings.Compare(a.ID, b.ID) }) // as the jobs were inserted
	for _, t := range tasks {
		ch.b.openTasks--
		ch.emitTask(t)
		if err := ch.cancelJob(ctx, t.riverJobID); err != nil {
			return err
		}
	}
	return nil
}
