package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const maxHoldReason = 500 // bytes

// HeldError means that a backup can't be deleted, or all of a user's erased, because
// a legal hold is on it.
type HeldError struct {
	BackupID string
	Since    time.Time
	Reason   string // may be empty
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("delete backup: it is held since %s", e.Since.UTC().Format(time.RFC3339))
}

// Hold puts a legal hold on a backup, in whatever state: it can't be deleted
// until Release. The reason has at most 500 bytes of UTF-8 without control
// characters, and may be empty. To hold a held backup changes nothing but the
// reason. A backup that is being deleted gives a *StateError, and one whose user's
// backups are being erased an *ErasingError.
func (c *Client) Hold(ctx context.Context, id, reason string) (b *Backup, err error) {
	if err := validateReason(reason); err != nil {
		return nil, err // before the database is asked: it may be away
	}
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		b, err = c.HoldTx(ctx, tx, id, reason)
		return err
	})
	return b, err
}

// HoldTx is Hold as a part of tx. Until tx ends, it holds up the worker of the
// backup's tasks: keep it short.
func (c *Client) HoldTx(ctx context.Context, tx pgx.Tx, id, reason string) (*Backup, error) {
	if err := validateReason(reason); err != nil {
		return nil, err
	}
	if err := c.change(ctx, tx, id, func(ch *change) error { return ch.hold(ctx, reason) }); err != nil {
		return nil, err
	}
	return c.GetTx(ctx, tx, id)
}

// Release ends a backup's legal hold. To release one that isn't held changes
// nothing.
func (c *Client) Release(ctx context.Context, id string) (b *Backup, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		b, err = c.ReleaseTx(ctx, tx, id)
		return err
	})
	return b, err
}

// ReleaseTx is Release as a part of tx.
func (c *Client) ReleaseTx(ctx context.Context, tx pgx.Tx, id string) (*Backup, error) {
	if err := c.change(ctx, tx, id, (*change).release); err != nil {
		return nil, err
	}
	return c.GetTx(ctx, tx, id)
}

func validateReason(reason string) error {
	if len(reason) > maxHoldReason || !printable(reason) {
		return &FieldError{"reason", "must have at most 500 bytes of UTF-8 without control characters"}
	}
	return nil
}

// holdData is the data of the event of a hold or a release.
type holdData struct {
	State  State  `json:"state"`
	Held   bool   `json:"held"`
	Reason string `json:"reason,omitempty"`
}

func (ch *change) hold(ctx context.Context, reason string) error {
	if ch.b.State == StateDeleting {
		return &StateError{Verb: "hold", State: ch.b.State}
	}
	if ch.b.HeldAt != nil && ch.b.HoldReason == reason {
		return nil
	}
	if err := ch.notErasing(ctx); err != nil {
		return err
	}
	ch.emit(EventUpdateBackup, "", holdData{State: ch.b.State, Held: true, Reason: reason})
	ch.last.Queue(ch.c.sql(`UPDATE {{schema}}.backup SET held_at = coalesce(held_at, now()), hold_reason = nullif(@reason, '') WHERE id = @id`),
		named{"id": ch.b.ID, "reason": reason})
	return nil
}

func (ch *change) release() error {
	if ch.b.HeldAt == nil {
		return nil
	}
	ch.emit(EventUpdateBackup, "", holdData{State: ch.b.State})
	ch.last.Queue(ch.c.sql(`UPDATE {{schema}}.backup SET held_at = NULL, hold_reason = NULL WHERE id = @id`), named{"id": ch.b.ID})
	return nil
}
