package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	checkEachQuery = `(SELECT s.id::text FROM {{schema}}.backup_schedule s WHERE s.alert_at IS NULL AND s.stale_at IS NOT NULL AND s.stale_at <= @now ORDER BY s.stale_at LIMIT @limit)
		UNION ALL (SELECT s.id::text FROM {{schema}}.backup_schedule s WHERE s.alert_at IS NOT NULL AND s.stale_at <= @now ORDER BY s.stale_at LIMIT @limit)`

	checkAloneQuery = `SELECT ` + judgedColumns + ` FROM {{schema}}.backup_schedule s WHERE s.id = @id AND s.stale_at <= @now FOR NO KEY UPDATE SKIP LOCKED`
)

// checkEach is CheckFreshness with a transaction for each schedule, so that one that fails
// stops no other.
func (c *Client) checkEach(ctx context.Context, limit int) (done Rechecked, err error) {
	now, err := c.now(ctx, c.cfg.Pool)
	if err != nil {
		return done, err
	}
	rows, err := c.cfg.Pool.Query(ctx, c.sql(checkEachQuery), named{"now": now, "limit": limit})
	if err != nil {
		return done, fmt.Errorf("list schedules: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return done, fmt.Errorf("list schedules: %w", err)
	}
	had := 0
	for _, id := range ids {
		one, ok, err := c.checkAlone(ctx, id, now)
		if isBadRow(err) {
			c.cfg.Logger.ErrorContext(ctx, "a schedule's freshness can't be judged, and waits", "schedule", id, "error", err)
			_, err = c.cfg.Pool.Exec(ctx, c.sql(`UPDATE {{schema}}.backup_schedule SET stale_at = @again WHERE id = @id AND stale_at <= @now`),
				named{"id": id, "again": now.Add(setAside), "now": now})
			ok = true
		}
		if err != nil {
			return done, fmt.Errorf("check schedule %s: %w", id, err)
		}
		if ok {
			had++
		}
		done.Stale, done.Fresh = done.Stale+one.Stale, done.Fresh+one.Fresh
	}
	done.More = had >= limit
	return done, nil
}

// checkAlone judges one schedule; ok is false where another process has it.
func (c *Client) checkAlone(ctx context.Context, id string, now time.Time) (done Rechecked, ok bool, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, c.sql(checkAloneQuery), named{"id": id, "now": now})
		if err != nil {
			return fmt.Errorf("lock schedule: %w", err)
		}
		all, err := pgx.CollectRows(rows, scanSchedule)
		if err != nil {
			return fmt.Errorf("lock schedule: %w", err)
		}
		ok = len(all) > 0
		done, err = c.judgeLocked(ctx, tx, all, now, Rechecked{})
		return err
	})
	if err != nil {
		return Rechecked{}, false, err
	}
	return done, ok, nil
}
