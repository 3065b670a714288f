package backup

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Get returns a backup with its tasks: ErrNotFound.
func (c *Client) Get(ctx context.Context, id string) (b *Backup, err error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	// One snapshot, so that the tasks are of the same instant as the backup.
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, c.cfg.Pool, opts, func(tx pgx.Tx) error {
		b, err = c.GetTx(ctx, tx, id)
		return err
	})
	return b, err
}

// GetTx is Get within tx.
func (c *Client) GetTx(ctx context.Context, tx pgx.Tx, id string) (*Backup, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	b, err := c.oneBackup(ctx, tx, "WHERE b.id = @id", named{"id": id})
	if err != nil {
		return nil, err
	}
	b.Tasks, err = c.tasks(ctx, tx, id)
	return b, err
}
