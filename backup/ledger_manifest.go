package backup

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Confirm returns ErrLeaseLost unless the lease on a step is still held, which the
// database says, and a heartbeat that was slept through doesn't.
func (l *Ledger) Confirm(ctx context.Context, lease Lease) error {
	var token *uuid.UUID
	err := l.c.cfg.Pool.QueryRow(ctx, l.c.sql(`SELECT lease_token FROM {{schema}}.backup WHERE id = @id`), named{"id": lease.BackupID}).Scan(&token)
	switch {
	case isNoRows(err), err == nil && (token == nil || *token != lease.Token):
		return fmt.Errorf("confirm lease: %w", ErrLeaseLost)
	case err != nil:
		return fmt.Errorf("confirm lease: %w", err)
	}
	return nil
}

// RenameManifest gives a sealing backup a manifest of another name, because there
// is another object where its manifest should be: of an earlier life of the
// database, before it was restored, or somebody else's. That object stays.
func (l *Ledger) RenameManifest(ctx context.Context, lease Lease) error {
	return l.step(ctx, lease, StateSealing, func(ch *change) error {
		ch.b.generation++
		_, err := ch.tx.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup SET manifest = NULL, manifest_key = NULL WHERE id = @id`),
			named{"id": ch.b.ID})
		if err != nil {
			return fmt.Errorf("drop manifest: %w", err)
		}
		return nil
	})
}
