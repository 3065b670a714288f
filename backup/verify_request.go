package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// River's names for verifications. They have a queue of their own, since one may
// read terabytes.
const (
	KindVerify  = "backup_verify"
	QueueVerify = "backup_verify"
)

// VerifyArgs are the args of the River job that verifies a backup.
type VerifyArgs struct {
	Version  int    `json:"v"`
	BackupID string `json:"backup_id"`
}

// Kind is KindVerify.
func (VerifyArgs) Kind() string { return KindVerify }

// Verify lets the workers read the copy of a backup that is done, and compare it
// with its manifest. What they find is in Backup.Verification, and an event. A
// backup that isn't done gives a *StateError. If the same verification is under
// way already nothing changes; one that reads another share is begun anew.
func (c *Client) Verify(ctx context.Context, id string, p VerifyParams) (b *Backup, err error) {
	if err := p.validate(); err != nil {
		return nil, err // before the database is asked: it may be away
	}
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		b, err = c.VerifyTx(ctx, tx, id, p)
		return err
	})
	return b, err
}

// VerifyTx is Verify as a part of tx.
func (c *Client) VerifyTx(ctx context.Context, tx pgx.Tx, id string, p VerifyParams) (*Backup, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	if p.Sample == 0 {
		p.Sample = 1
	}
	if err := c.change(ctx, tx, id, func(ch *change) error { return ch.verify(ctx, p) }); err != nil {
		return nil, err
	}
	return c.GetTx(ctx, tx, id)
}

// Verifying reports whether a verification is under way.
func (b *Backup) Verifying() bool { return b.State == StateDone && b.requestedAge != nil }

// verifyData is the data of a verification's events.
type verifyData struct {
	State        State         `json:"state"`
	Verifying    bool          `json:"verifying"`
	Verification *Verification `json:"verification,omitempty"`
}

func (ch *change) verify(ctx context.Context, p VerifyParams) error {
	b := ch.b
	if b.State != StateDone {
		return &StateError{Verb: "verify", State: b.State}
	}
	if b.Verifying() {
		var sample float64
		if err := ch.tx.QueryRow(ctx, ch.c.sql(`SELECT sample FROM {{schema}}.backup WHERE id = @id`), named{"id": b.ID}).Scan(&sample); err != nil {
			return fmt.Errorf("read verification: %w", err)
		}
		if sample == p.Sample {
			return nil
		}
		if err := ch.cancelJob(ctx, b.riverJobID); err != nil {
			return err
		}
	}
	b.failures = 0
	ch.emit(EventUpdateBackup, "", verifyData{State: b.State, Verifying: true})
	ch.request()
	ch.last.Queue(ch.c.sql(`UPDATE {{schema}}.backup SET sample = @sample, lease_token = NULL, lease_until = NULL, next_attempt_at = NULL WHERE id = @id`),
		named{"id": b.ID, "sample": p.Sample})
	b.NextAttemptAt = nil
	return ch.insertStepJob(ctx, ch.c.verifyJob(b))
}

func (c *Client) verifyJob(b *Backup) river.InsertManyParams {
	return river.InsertManyParams{
		Args:       VerifyArgs{Version: ArgsVersion, BackupID: b.ID},
		InsertOpts: c.insertOpts(QueueVerify, b, nil, 1),
	}
}

// abandonVerify ends a verification whose River job somebody canceled. What an
// earlier one found says nothing about this one, and makes room for that.
func (ch *change) abandonVerify() error {
	return ch.endVerify(&Verification{Failure: &Failure{Class: ClassPermanent, Message: "the verification was canceled"}})
}
