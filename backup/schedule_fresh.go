package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// alertAgain is how often a schedule with an alert is looked at again.
const alertAgain = time.Minute

// Rechecked says what a look at schedules found.
type Rechecked struct {
	Stale int  `json:"stale"` // alerts that began
	Fresh int  `json:"fresh"` // alerts that ended
	More  bool `json:"-"`     // more of them are to be looked at
}

// staleQuery and alertQuery lock schedules whose time to be looked at has come. An alert
// is never kept waiting by those that there are already.
const (
	staleQuery = `SELECT ` + judgedColumns + ` FROM {{schema}}.backup_schedule s
		WHERE s.alert_at IS NULL AND s.stale_at IS NOT NULL AND s.stale_at <= @now
		ORDER BY s.stale_at LIMIT @limit FOR NO KEY UPDATE SKIP LOCKED`

	alertQuery = `SELECT ` + judgedColumns + ` FROM {{schema}}.backup_schedule s
		WHERE s.alert_at IS NOT NULL AND s.stale_at <= @now
		ORDER BY s.stale_at LIMIT @limit FOR NO KEY UPDATE SKIP LOCKED`

	successQuery = `SELECT ` + freshColumns + ` FROM unnest(@ids::uuid[]) WITH ORDINALITY AS s (id, n) ORDER BY s.n`
)

// CheckFreshness judges schedules with a MaxAge by their newest good backup: up to limit
// that may have become too old, and up to limit of those with an alert, which take
// turns. One whose row can't be read is left alone for some minutes, and keeps none of the
// others from being judged. Whose backups have become too old gets an alert and an event, paused or not: a
// pause that was forgotten is how backups are lost. Many processes may do so at once.
func (l *Ledger) CheckFreshness(ctx context.Context, limit int) (done Rechecked, err error) {
	err = l.c.inTx(ctx, func(tx pgx.Tx) error {
		done, err = l.c.checkFreshness(ctx, tx, limit)
		return err
	})
	if isBadRow(err) {
		return l.c.checkEach(ctx, limit)
	}
	return done, err
}

func (c *Client) checkFreshness(ctx context.Context, tx pgx.Tx, limit int) (done Rechecked, err error) {
	now, err := c.now(ctx, tx)
	if err != nil {
		return done, err
	}
	var all []*Schedule
	var batch pgx.Batch
	for _, query := range []string{staleQuery, alertQuery} {
		batch.Queue(c.sql(query), named{"now": now, "limit": limit}).Query(func(rows pgx.Rows) error {
			some, err := pgx.CollectRows(rows, scanSchedule)
			all, done.More = append(all, some...), done.More || len(some) == limit
			return err
		})
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return done, fmt.Errorf("lock schedules: %w", err)
	}
	return c.judgeLocked(ctx, tx, all, now, done)
}

// judgeLocked judges schedules that are locked, and adds what it finds to done.
func (c *Client) judgeLocked(ctx context.Context, tx pgx.Tx, all []*Schedule, now time.Time, done Rechecked) (Rechecked, error) {
	if len(all) == 0 {
		return done, nil
	}
	successes, err := c.successes(ctx, tx, all)
	if err != nil {
		return done, err
	}
	var w freshWriter
	for i, s := range all {
		if err := w.judge(s, successes[i], now, &done); err != nil {
			return done, err
		}
	}
	return done, w.write(ctx, c, tx, now)
}

// successes is a statement of its own, behind the locks: whoever marks a backup as
// damaged has the schedule looked at in the same transaction.
func (c *Client) successes(ctx context.Context, tx pgx.Tx, all []*Schedule) ([]*time.Time, error) {
	ids := make([]string, len(all))
	for i, s := range all {
		ids[i] = s.ID
	}
	rows, err := tx.Query(ctx, c.sql(successQuery), named{"ids": ids})
	if err != nil {
		return nil, fmt.Errorf("read newest backups: %w", err)
	}
	successes, err := pgx.CollectRows(rows, pgx.RowTo[*time.Time])
	if err != nil {
		return nil, fmt.Errorf("read newest backups: %w", err)
	}
	return successes, nil
}

// freshWriter collects the columns of what is written.
type freshWriter struct {
	ids, names               []string
	stales, successes, alert []*time.Time
	data                     [][]byte
}

func (w *freshWriter) judge(s *Schedule, success *time.Time, now time.Time, done *Rechecked) error {
	s.fresh(success, now)
	name, again, alert := ScheduleEventName(""), s.StaleAt, s.AlertAt
	switch {
	case s.Stale && alert == nil:
		name, alert = ScheduleStale, &now
		done.Stale++
	case !s.Stale && alert != nil:
		name = ScheduleFresh
		done.Fresh++
	}
	data, err := json.Marshal(scheduleEventData{
		UserID: s.UserID, SiteID: s.SiteID, Name: s.Name, Paused: s.Paused, MaxAge: int64(s.MaxAge / time.Second), LastSuccessAt: success, AlertAt: alert,
	})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if s.Stale {
		later := now.Add(alertAgain)
		again = &later
	} else {
		alert = nil
	}
	w.ids, w.names, w.data = append(w.ids, s.ID), append(w.names, string(name)), append(w.data, data)
	w.stales, w.successes, w.alert = append(w.stales, again), append(w.successes, success), append(w.alert, alert)
	return nil
}

func (w *freshWriter) write(ctx context.Context, c *Client, tx pgx.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, c.sql(`
		WITH i AS (SELECT * FROM unnest(@ids::uuid[], @stales::timestamptz[], @successes::timestamptz[], @alerts::timestamptz[], @names::text[], @data::jsonb[])
				AS i (id, stale, success, alert, name, data)),
			u AS (UPDATE {{schema}}.backup_schedule s SET stale_at = i.stale, last_success_at = i.success, alert_at = i.alert,
					event_seq = s.event_seq + (i.name <> '')::int
				FROM i WHERE s.id = i.id RETURNING s.id, s.event_seq)
		INSERT INTO {{schema}}.backup_schedule_event (schedule_id, seq, name, data, created_at, deliver_at)
		SELECT i.id, u.event_seq, i.name, i.data, @now, @now FROM i JOIN u ON u.id = i.id WHERE i.name <> ''`),
		named{"ids": w.ids, "stales": w.stales, "successes": w.successes, "alerts": w.alert, "names": w.names, "data": w.data, "now": now})
	if err != nil {
		return fmt.Errorf("write freshness: %w", err)
	}
	return nil
}

// lookAgain has the schedule looked at soon that started the backup, which isn't one of
// its good ones any more.
func (ch *change) lookAgain() {
	if ch.b.ScheduleID == "" {
		return
	}
	ch.last.Queue(ch.c.sql(`UPDATE {{schema}}.backup_schedule SET stale_at = least(stale_at, coalesce(@now::timestamptz, now()))
		WHERE id = @schedule AND stale_at IS NOT NULL`), named{"schedule": ch.b.ScheduleID, "now": ch.c.injected()})
}
