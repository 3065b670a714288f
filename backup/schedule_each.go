package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// setAside is how long a schedule is left alone whose row made a tick fail.
const setAside = 5 * time.Minute

// isBadRow reports whether err is about what is in a row, and not about the database: a
// value that can't be read, or one that a constraint refuses.
func isBadRow(err error) bool {
	var scan pgx.ScanArgError
	var pg *pgconn.PgError
	return errors.As(err, &scan) || errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23"))
}

const (
	eachQuery = `(SELECT s.id::text FROM {{schema}}.backup_schedule s WHERE s.next_run_at <= @now ORDER BY s.next_run_at LIMIT @limit)
		UNION (SELECT s.id::text FROM {{schema}}.backup_schedule s WHERE s.queued_slot IS NOT NULL AND ` + queuedCanGo + ` ORDER BY s.queued_slot LIMIT @limit)`

	aloneQuery = `SELECT ` + judgedColumns + ` FROM {{schema}}.backup_schedule s
		WHERE s.id = @id AND (s.next_run_at <= @now OR s.queued_slot IS NOT NULL AND ` + queuedCanGo + `) FOR NO KEY UPDATE SKIP LOCKED`
)

// tickEach is a tick in which each schedule has a transaction of its own, so that one
// that fails stops no other.
func (c *Client) tickEach(ctx context.Context, limit int) (sum Ticked, err error) {
	now, err := c.now(ctx, c.cfg.Pool)
	if err != nil {
		return sum, err
	}
	rows, err := c.cfg.Pool.Query(ctx, c.sql(eachQuery), named{"now": now, "limit": limit})
	if err != nil {
		return sum, fmt.Errorf("list due schedules: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return sum, fmt.Errorf("list due schedules: %w", err)
	}
	had := 0
	for _, id := range ids {
		done, ok, err := c.tickAlone(ctx, id, now)
		if isBadRow(err) {
			c.cfg.Logger.ErrorContext(ctx, "a schedule can't be ticked, and waits", "schedule", id, "error", err)
			_, err = c.cfg.Pool.Exec(ctx, c.sql(`UPDATE {{schema}}.backup_schedule SET set_aside_until = @again,
				next_run_at = CASE WHEN next_run_at <= @now THEN @again ELSE next_run_at END WHERE id = @id`),
				named{"id": id, "again": now.Add(setAside), "now": now})
			ok = true
		}
		if err != nil {
			return sum, fmt.Errorf("tick schedule %s: %w", id, err)
		}
		if ok {
			had++
		}
		sum.Started, sum.Queued, sum.Skipped, sum.More = sum.Started+done.Started, sum.Queued+done.Queued, sum.Skipped+done.Skipped, sum.More || done.More
	}
	sum.More = sum.More || had >= limit // and none that another process has: it ticks
	return sum, nil
}

// tickAlone ticks one schedule; ok is false where another process has it.
func (c *Client) tickAlone(ctx context.Context, id string, now time.Time) (done Ticked, ok bool, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		done, ok = Ticked{}, false
		s, err := c.oneLocked(ctx, tx, id, now)
		if s == nil || err != nil {
			return err
		}
		done, err = c.tickLocked(ctx, tx, []*due{{Schedule: s}}, now)
		ok = true
		return err
	})
	if err != nil {
		return Ticked{}, false, err
	}
	return done, ok, nil
}

// oneLocked is nil for a schedule that another process has, or had.
func (c *Client) oneLocked(ctx context.Context, tx pgx.Tx, id string, now time.Time) (*Schedule, error) {
	rows, err := tx.Query(ctx, c.sql(aloneQuery), named{"id": id, "now": now})
	if err != nil {
		return nil, fmt.Errorf("lock schedule: %w", err)
	}
	s, err := pgx.CollectOneRow(rows, scanSchedule)
	if isNoRows(err) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("lock schedule: %w", err)
	}
	return s, nil
}
