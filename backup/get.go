package backup

import (
	"context"
	"time"

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

// ListParams choose backups. A zero field chooses all.
type ListParams struct {
	UserID string
	SiteID string
	State  State
	After  *Cursor // continue behind this one
	Limit  int     // 1 to 200; defaults to 50
}

// Cursor is a place in a list that is ordered from the newest backup to the
// oldest. It stays where it is when backups are added.
type Cursor struct {
	CreatedAt time.Time
	ID        string
}

// List returns backups without their tasks, the newest first.
func (c *Client) List(ctx context.Context, p ListParams) ([]*Backup, error) {
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	if p.Limit == 0 {
		p.Limit = 50
	}
	if p.After != nil && !validID(p.After.ID) {
		return nil, &FieldError{"after", "must be a cursor of this list"}
	}
	if !printable(p.UserID) || !printable(p.SiteID) {
		return nil, nil // nobody has such an id
	}
	args := named{"limit": min(max(p.Limit, 1), 200)}
	where := "WHERE true"
	filter := func(cond, name string, value any) {
		where += " AND " + cond
		args[name] = value
	}
	if p.UserID != "" {
		filter("b.user_id = @user", "user", p.UserID)
	}
	if p.SiteID != "" {
		filter("b.site_id = @site", "site", p.SiteID)
	}
	if p.State != "" {
		filter("b.state = @state", "state", p.State)
	}
	if p.After != nil {
		args["at"] = p.After.CreatedAt
		filter("(b.created_at, b.id) < (@at, @after::uuid)", "after", p.After.ID)
	}
	return c.backups(ctx, c.cfg.Pool, where+" ORDER BY b.created_at DESC, b.id DESC LIMIT @limit", args)
}
