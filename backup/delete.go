package backup

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// KindDelete is the River kind that deletes a backup.
const KindDelete = "backup_delete"

// DeleteArgs are the args of the River job that deletes a backup.
type DeleteArgs struct {
	Version  int    `json:"v"`
	BackupID string `json:"backup_id"`
}

// Kind is KindDelete.
func (DeleteArgs) Kind() string { return KindDelete }

// Delete makes a backup that has ended deleting, and lets the workers remove its
// manifest, then its objects, then its rows and events: from then on it is not
// found. There is no way back. An open backup has to be canceled first, which
// gives a *StateError until its last task has ended; one under a legal hold gives
// a *HeldError. To delete one that is being deleted changes nothing, unless the
// workers have given up on it, which its Failure says: then they begin again, as they
// do by themselves at the next full hour.
func (c *Client) Delete(ctx context.Context, id string) (b *Backup, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		b, err = c.DeleteTx(ctx, tx, id)
		return err
	})
	return b, err
}

// DeleteTx is Delete as a part of tx.
func (c *Client) DeleteTx(ctx context.Context, tx pgx.Tx, id string) (*Backup, error) {
	if err := c.change(ctx, tx, id, func(ch *change) error { return ch.delete(ctx) }); err != nil {
		return nil, err
	}
	return c.GetTx(ctx, tx, id)
}

func (ch *change) delete(ctx context.Context) error {
	b := ch.b
	switch {
	case b.State == StateDeleting && b.requestedAge != nil:
		return nil
	case b.State == StateDeleting: // given up
		ch.emit(EventUpdateBackup, "", backupData{State: StateDeleting})
	case !b.State.Terminal() || b.openTasks > 0:
		return &StateError{Verb: "delete", State: b.State}
	case b.HeldAt != nil:
		return &HeldError{BackupID: b.ID, Since: *b.HeldAt, Reason: b.HoldReason}
	}
	if b.Verifying() {
		if err := ch.cancelJob(ctx, b.riverJobID); err != nil {
			return err
		}
	}
	if b.State != StateDeleting {
		b.NextAttemptAt = nil // that of a verification
	}
	b.State, b.failures, ch.failure, ch.canceling = StateDeleting, 0, nil, false
	ch.request()
	ch.lookAgain()
	return ch.insertStepJob(ctx, ch.c.deleteJob(b))
}

// request notes that a step was asked for that no state tells of by itself.
func (ch *change) request() {
	ch.last.Queue(ch.c.sql(`UPDATE {{schema}}.backup SET requested_at = now() WHERE id = @id`), named{"id": ch.b.ID})
}

func (c *Client) deleteJob(b *Backup) river.InsertManyParams {
	return river.InsertManyParams{
		Args:       DeleteArgs{Version: ArgsVersion, BackupID: b.ID},
		InsertOpts: c.insertOpts(QueueControl, b, nil, 4), // what makes backups goes first,
	}
}
