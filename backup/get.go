package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Get returns a backup with its tasks: ErrNotFound.
func (c *Client) Get(ctx context.Context, id string) (*Backup, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	var b *Backup
	// One snapshot, so that the tasks are of the same instant as the backup; and one
	// round trip. A backup that isn't there, or that the caller then may not see,
	// takes as long as any other.
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	batch.Queue(c.sql("SELECT "+backupColumns+" FROM {{schema}}.backup b WHERE b.id = @id"), named{"id": id}).Query(func(rows pgx.Rows) error {
		bs, err := pgx.CollectRows(rows, scanBackup)
		if len(bs) > 0 {
			b = bs[0]
		}
		return err
	})
	var tasks []*Task
	batch.Queue(c.sql(tasksOf), named{"id": id}).Query(func(rows pgx.Rows) (err error) {
		tasks, err = pgx.CollectRows(rows, scanTask)
		return err
	})
	batch.Queue("COMMIT")
	if err := c.cfg.Pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	if b == nil {
		return nil, ErrNotFound
	}
	b.Tasks = tasks
	return b, nil
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
