package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ReplaceSchedule makes the schedule with the id what p says, as PutSchedule does, but
// for whose it is and its name, which p needn't have: ErrScheduleNotFound.
func (c *Client) ReplaceSchedule(ctx context.Context, id string, p ScheduleParams) (s *Schedule, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		s, err = c.ReplaceScheduleTx(ctx, tx, id, p)
		return err
	})
	return s, err
}

// ReplaceScheduleTx is ReplaceSchedule as a part of tx. After an error the caller must
// roll tx back.
func (c *Client) ReplaceScheduleTx(ctx context.Context, tx pgx.Tx, id string, p ScheduleParams) (*Schedule, error) {
	s, err := c.lockSchedule(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	p.UserID, p.SiteID, p.Name, p.IfAbsent = s.UserID, s.SiteID, s.Name, false
	if err := c.scheduleDefaults(&p); err != nil {
		return nil, err
	}
	return c.replaceSchedule(ctx, tx, s, p)
}

// freshSchedule reads a schedule as GetSchedule does, as a part of tx.
func (c *Client) freshSchedule(ctx context.Context, tx pgx.Tx, id string) (*Schedule, error) {
	rows, err := tx.Query(ctx, c.sql("SELECT "+scheduleColumns+", "+freshColumns+", coalesce(@now, now()) FROM {{schema}}.backup_schedule s WHERE s.id = @id"),
		named{"id": id, "now": c.injected()})
	if err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	s, err := pgx.CollectOneRow(rows, scanFresh)
	if err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	return s, nil
}
