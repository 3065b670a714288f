package backup

import (
	"context"

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

// CancelTx is Cancel as a part of tx.
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
