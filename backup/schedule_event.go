package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ScheduleEventName says what an event of a schedule announces.
type ScheduleEventName string

// The events. An alert of a schedule that is deleted ends without one.
const (
	ScheduleStale ScheduleEventName = "ScheduleStale" // its newest good backup is older than its MaxAge, or it has had none for so long
	ScheduleFresh ScheduleEventName = "ScheduleFresh" // that is over, or it has no MaxAge any more
)

// ScheduleEvent is the beginning or the end of an alert. It was written in the transaction
// that noted that.
type ScheduleEvent struct {
	ScheduleID string
	Seq        int64 // from 1, without gaps within the schedule
	Name       ScheduleEventName
	CreatedAt  time.Time

	// The schedule as it was then.
	UserID        string
	SiteID        string
	Schedule      string // its name
	Paused        bool
	MaxAge        time.Duration
	LastSuccessAt *time.Time // when its newest good backup was asked for; nil: it has none
	AlertAt       time.Time  // when the alert began
}

type scheduleEventData struct {
	UserID        string     `json:"userId"`
	SiteID        string     `json:"siteId"`
	Name          string     `json:"name"`
	Paused        bool       `json:"paused"`
	MaxAge        int64      `json:"maxAge"` // seconds
	LastSuccessAt *time.Time `json:"lastSuccessAt"`
	AlertAt       *time.Time `json:"alertAt"`
}

const scheduleEventColumns = `e.schedule_id::text, e.seq, e.name, e.data, e.created_at`

func scanScheduleEvent(row pgx.CollectableRow) (e ScheduleEvent, err error) {
	var raw []byte
	if err := row.Scan(&e.ScheduleID, &e.Seq, &e.Name, &raw, &e.CreatedAt); err != nil {
		return e, err
	}
	var d scheduleEventData
	if err := json.Unmarshal(raw, &d); err != nil {
		return e, fmt.Errorf("decode event: %w", err)
	}
	e.UserID, e.SiteID, e.Schedule, e.Paused, e.MaxAge, e.LastSuccessAt = d.UserID, d.SiteID, d.Name, d.Paused, time.Duration(d.MaxAge)*time.Second, d.LastSuccessAt
	if d.AlertAt != nil {
		e.AlertAt = *d.AlertAt
	}
	return e, nil
}

// ScheduleEvents lists up to limit (1 to 1,000) events of a schedule whose Seq is greater
// than after, in order.
func (c *Client) ScheduleEvents(ctx context.Context, id string, after int64, limit int) ([]ScheduleEvent, error) {
	if !validID(id) {
		return nil, ErrScheduleNotFound
	}
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	rows, err := c.cfg.Pool.Query(ctx, c.sql(`SELECT `+scheduleEventColumns+` FROM {{schema}}.backup_schedule_event e
		WHERE e.schedule_id = @id AND e.seq > @after ORDER BY e.seq LIMIT @limit`), named{"id": id, "after": after, "limit": min(max(limit, 1), 1000)})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	events, err := pgx.CollectRows(rows, scanScheduleEvent)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

const (
	// hookPatience bounds one call of Config.OnEvent. deliverAgain is how long nobody
	// else makes it, and when it is made again if it failed; it is longer.
	hookPatience = 10 * time.Second
	deliverAgain = time.Minute
)

// Delivered says what was told to Config.OnEvent.
type Delivered struct {
	Events int `json:"events"`
	Failed int `json:"failed"` // calls; they are made again
}

// deliverFor is how long an event is told: a hook that is added to a server of old hears
// nothing of what is over.
const deliverFor = day

// claimEvent gives an event to one process: the oldest that is told of none of its
// schedule before it.
const claimEvent = `
	WITH c AS MATERIALIZED (SELECT u.schedule_id, u.seq FROM {{schema}}.backup_schedule_event u
		WHERE u.delivered_at IS NULL AND u.deliver_at <= @now AND u.deliver_at > @since AND u.created_at > @since
			AND NOT EXISTS (SELECT FROM {{schema}}.backup_schedule_event p
				WHERE p.schedule_id = u.schedule_id AND p.seq < u.seq AND p.delivered_at IS NULL AND p.created_at > @since)
		ORDER BY u.deliver_at LIMIT 1 FOR UPDATE SKIP LOCKED)
	UPDATE {{schema}}.backup_schedule_event e SET deliver_at = @until FROM c
	WHERE e.schedule_id = c.schedule_id AND e.seq = c.seq RETURNING ` + scheduleEventColumns

// DeliverEvents makes up to limit calls of Config.OnEvent, one after another, until no
// event of the last day is left or ctx ends. Without a hook it does nothing.
func (l *Ledger) DeliverEvents(ctx context.Context, limit int) (done Delivered, err error) {
	c := l.c
	if c.cfg.OnEvent == nil {
		return done, nil
	}
	if c.cfg.Pool == nil {
		return done, errNoPool
	}
	for range limit {
		now, err := c.now(ctx, c.cfg.Pool)
		if err != nil {
			return done, err
		}
		rows, err := c.cfg.Pool.Query(ctx, c.sql(claimEvent), named{"now": now, "until": now.Add(deliverAgain), "since": now.Add(-deliverFor)})
		if err != nil {
			return done, fmt.Errorf("claim event: %w", err)
		}
		e, err := pgx.CollectOneRow(rows, scanScheduleEvent)
		if isNoRows(err) {
			return done, nil
		}
		if err != nil {
			return done, fmt.Errorf("claim event: %w", err)
		}
		if err := c.tell(ctx, e); err != nil {
			c.cfg.Logger.ErrorContext(ctx, "OnEvent failed, and is called again", "schedule", e.ScheduleID, "event", e.Name, "seq", e.Seq, "error", err)
			done.Failed++
			continue
		}
		if err := c.delivered(ctx, e); err != nil {
			return done, err
		}
		done.Events++
	}
	return done, nil
}

// tell calls the hook.
func (c *Client) tell(ctx context.Context, e ScheduleEvent) (err error) {
	ctx, cancel := context.WithTimeout(ctx, hookPatience)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.cfg.OnEvent(ctx, e)
}

// delivered is written even if the process is being stopped: the hook was called.
func (c *Client) delivered(ctx context.Context, e ScheduleEvent) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookPatience)
	defer cancel()
	_, err := c.cfg.Pool.Exec(ctx, c.sql(`UPDATE {{schema}}.backup_schedule_event SET delivered_at = coalesce(@now::timestamptz, now()) WHERE schedule_id = @id AND seq = @seq`),
		named{"now": c.injected(), "id": e.ScheduleID, "seq": e.Seq})
	if err != nil {
		return fmt.Errorf("note delivery: %w", err)
	}
	return nil
}
