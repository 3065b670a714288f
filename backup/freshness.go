package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// overdueAfter is how long a schedule may be due, or may be to be looked at, before
	// that means that no process does it: a leader's loss takes less.
	overdueAfter = 5 * time.Minute

	// freshnessMost is the most that Freshness counts of anything, freshnessLook how many
	// schedules it judges and freshnessBack how many of the newest good backups it looks
	// through for a provider's: so it costs a bounded time however many there are.
	freshnessMost = 10_000
	freshnessLook = 1000
	freshnessBack = 10_000
)

// Freshness says whether backups are made, judged by what is in the tables: whichever
// process asks sees it when the one that should start them is dead.
type Freshness struct {
	// Healthy means that all of the following counts are zero.
	Healthy bool

	// Overdue are schedules that have been due, as they are, for 5 minutes: nobody ticks.
	// So are those whose last slot is still to come: the database's clock was ahead, and
	// they do nothing until it is there again. And so are those that a tick can't read, or
	// can't start: the log says why.
	Overdue   int
	Unchecked int // schedules whose backups nobody has looked at for 5 minutes behind the time
	Stale     int // schedules whose newest good backup is too old, without an alert yet
	Alerting  int // schedules with an alert

	// LastSuccess says of each provider when the newest good backup with a copy of its
	// was done. One that none of the 10,000 newest has is left out.
	LastSuccess map[string]time.Time
}

const freshnessQuery = `SELECT
	(SELECT count(*) FROM (SELECT FROM {{schema}}.backup_schedule s WHERE s.next_run_at < @overdue AND s.updated_at < @overdue ORDER BY s.next_run_at LIMIT @most) o)
		+ (SELECT count(*) FROM (SELECT FROM {{schema}}.backup_schedule s WHERE s.last_slot > @ahead ORDER BY s.last_slot LIMIT @most) h)
		+ (SELECT count(*) FROM (SELECT FROM {{schema}}.backup_schedule s WHERE s.set_aside_until > @overdue AND coalesce(s.next_run_at >= @overdue, true)
			ORDER BY s.set_aside_until LIMIT @most) a),
	(SELECT count(*) FROM (SELECT FROM {{schema}}.backup_schedule s WHERE s.alert_at IS NULL AND s.stale_at IS NOT NULL AND s.stale_at < @overdue ORDER BY s.stale_at LIMIT @most) u),
	(SELECT count(*) FROM (SELECT s.id, s.created_at, s.max_age FROM {{schema}}.backup_schedule s
			WHERE s.alert_at IS NULL AND s.stale_at IS NOT NULL AND s.stale_at <= @now ORDER BY s.stale_at LIMIT @look) s
		WHERE coalesce(` + freshColumns + `, s.created_at) + s.max_age <= @now),
	(SELECT count(*) FROM (SELECT FROM {{schema}}.backup_schedule s WHERE s.alert_at IS NOT NULL ORDER BY s.stale_at LIMIT @most) a)`

// A backup that is good has ended with all its tasks done.
const lastSuccessQuery = `
	WITH known AS (SELECT unnest(@known::text[]) AS provider UNION SELECT t.provider
		FROM (SELECT b.id FROM {{schema}}.backup b WHERE b.state = 'done' AND b.corrupt_at IS NULL ORDER BY b.finished_at DESC LIMIT 10) b
		JOIN {{schema}}.backup_task t ON t.backup_id = b.id)
	SELECT k.provider, n.finished_at FROM known k CROSS JOIN LATERAL (
		SELECT b.finished_at FROM (SELECT b.id, b.finished_at FROM {{schema}}.backup b WHERE b.state = 'done' AND b.corrupt_at IS NULL
			ORDER BY b.finished_at DESC LIMIT @back) b
		WHERE EXISTS (SELECT FROM {{schema}}.backup_task t WHERE t.backup_id = b.id AND t.provider = k.provider)
		ORDER BY b.finished_at DESC LIMIT 1) n`

// Freshness looks whether backups are made. A count stops at 10,000 or some more, and Stale at 1,000.
// It takes some milliseconds, and more while a configured provider has had no success for
// long.
func (c *Client) Freshness(ctx context.Context) (*Freshness, error) {
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	now, err := c.now(ctx, c.cfg.Pool)
	if err != nil {
		return nil, err
	}
	f := &Freshness{LastSuccess: make(map[string]time.Time)}
	var batch pgx.Batch
	batch.Queue(c.sql(freshnessQuery), named{"now": now, "overdue": now.Add(-overdueAfter), "ahead": now.Add(overdueAfter), "most": freshnessMost, "look": freshnessLook}).QueryRow(func(row pgx.Row) error {
		return row.Scan(&f.Overdue, &f.Unchecked, &f.Stale, &f.Alerting)
	})
	batch.Queue(c.sql(lastSuccessQuery), named{"known": c.ProviderNames(), "back": freshnessBack}).Query(func(rows pgx.Rows) error {
		var provider string
		var at time.Time
		_, err := pgx.ForEachRow(rows, []any{&provider, &at}, func() error {
			f.LastSuccess[provider] = at
			return nil
		})
		return err
	})
	if err := c.cfg.Pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read freshness: %w", err)
	}
	f.Healthy = f.Overdue == 0 && f.Unchecked == 0 && f.Stale == 0 && f.Alerting == 0
	return f, nil
}
