package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Cancel cancels a backup and its tasks. Tasks that are committing resolve
// first; until then the backup has CancelRequestedAt set. Canceling a canceled
// backup changes nothing. A backup that is sealing, done, failed or deleting
// gives a *StateError.
func (c *Client) Cancel(ctx context.Context, id string) (b *Backup, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		b, err = c.CancelTx(ctx, tx, id)
		return err
	})
	return b, err
}

// CancelTx is Cancel as a part of tx. Until tx ends, it holds up the worker of
// the backup's tasks: keep it short.
func (c *Client) CancelTx(ctx context.Context, tx pgx.Tx, id string) (*Backup, error) {
	if err := c.change(ctx, tx, id, func(ch *change) error { return ch.cancel(ctx) }); err != nil {
		return nil, err
	}
	return c.GetTx(ctx, tx, id)
}

func (ch *change) cancel(ctx context.Context) error {
	switch ch.b.State {
	case StateCanceled:
		return nil
	case StatePending:
		ch.b.State = StateCanceled
		return ch.cancelJob(ctx, ch.b.riverJobID)
	case StateRunning:
		ch.canceling = true
		if err := ch.cancelOpenTasks(ctx); err != nil {
			return err
		}
		return ch.settle(ctx)
	default:
		return &StateError{Verb: "cancel", State: ch.b.State}
	}
}

// CancelByJob cancels the backup whose open planning or task is the River job's
// business, because somebody canceled that job in River. If it isn't any more,
// nothing happens: it was our own Cancel that canceled the job, or a Retry has
// put another one in its place.
func (l *Ledger) CancelByJob(ctx context.Context, backupID string, jobID int64) error {
	err := l.c.inChange(ctx, backupID, func(ch *change) error {
		switch ch.b.State {
		case StatePending:
			if ch.b.riverJobID == nil || *ch.b.riverJobID != jobID {
				return nil
			}
			return ch.cancel(ctx)
		case StateRunning:
			task, err := ch.taskOfJob(ctx, jobID)
			if err != nil || task == "" {
				return err
			}
			return ch.cancelStray(ctx, stray{TaskID: task})
		case StateDone:
			if ch.b.Verifying() && ch.b.riverJobID != nil && *ch.b.riverJobID == jobID {
				return ch.abandonVerify()
			}
			return nil
		default:
			return nil
		}
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// taskOfJob is the id of the open task that the River job is to work on, or
// empty.
func (ch *change) taskOfJob(ctx context.Context, jobID int64) (id string, err error) {
	err = ch.tx.QueryRow(ctx, ch.c.sql(`SELECT id::text FROM {{schema}}.backup_task
		WHERE backup_id = @id AND river_job_id = @job AND state IN ('pending', 'running', 'committing')`),
		named{"id": ch.b.ID, "job": jobID}).Scan(&id)
	if err != nil && !isNoRows(err) {
		return "", fmt.Errorf("find task of River job: %w", err)
	}
	return id, nil
}
