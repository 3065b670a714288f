package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// freshColumns are read beside a schedule's own: what its newest good backup makes of
// its freshness now, whether or not anybody has looked since.
const freshColumns = `(SELECT b.created_at FROM {{schema}}.backup b WHERE b.schedule_id = s.id AND b.state = 'done' AND b.corrupt_at IS NULL
	ORDER BY b.created_at DESC, b.id DESC LIMIT 1)`

// scanFresh scans scheduleColumns, freshColumns and the time.
func scanFresh(row pgx.CollectableRow) (*Schedule, error) {
	var success *time.Time
	var now time.Time
	s, err := scanScheduleAnd(row, &success, &now)
	if err == nil {
		s.fresh(success, now)
	}
	return s, err
}

// fresh judges s by its newest good backup.
func (s *Schedule) fresh(success *time.Time, now time.Time) {
	s.LastSuccessAt, s.StaleAt, s.Stale = success, nil, false
	if s.MaxAge == 0 {
		return
	}
	at := s.CreatedAt
	if success != nil {
		at = *success
	}
	at = at.Add(s.MaxAge)
	s.StaleAt, s.Stale = &at, !at.After(now)
}

func (c *Client) schedules(ctx context.Context, tail string, args named) ([]*Schedule, error) {
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	args["now"] = c.injected()
	rows, err := c.cfg.Pool.Query(ctx, c.sql("SELECT "+scheduleColumns+", "+freshColumns+", coalesce(@now, now()) FROM {{schema}}.backup_schedule s "+tail), args)
	if err != nil {
		return nil, fmt.Errorf("read schedules: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanFresh)
	if err != nil {
		return nil, fmt.Errorf("read schedules: %w", err)
	}
	return all, nil
}

// injected is the injected clock's time, or nil for the database's.
func (c *Client) injected() *time.Time {
	if c.cfg.Now == nil {
		return nil
	}
	now := c.cfg.Now()
	return &now
}

// GetSchedule returns a schedule: ErrScheduleNotFound.
func (c *Client) GetSchedule(ctx context.Context, id string) (*Schedule, error) {
	if !validID(id) {
		return nil, ErrScheduleNotFound
	}
	all, err := c.schedules(ctx, "WHERE s.id = @id", named{"id": id})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, ErrScheduleNotFound
	}
	return all[0], nil
}

// ListSchedulesParams choose schedules. A zero field chooses all; those that are set
// must all hold.
type ListSchedulesParams struct {
	Scope  Scope // what the caller may see
	UserID string
	SiteID string
	Name   string
	Alert  bool   // only those whose newest good backup is too old, or has been found so
	After  string // continue behind the schedule of this id
	Limit  int    // 1 to 200; defaults to 50
}

// alerts limits schedules to those with an alert, and to those that would have one if
// somebody looked. It is written so that the indexes of both fit.
const alerts = ` AND (s.alert_at IS NOT NULL OR s.alert_at IS NULL AND s.stale_at IS NOT NULL AND s.stale_at <= coalesce(@now, now())
	AND coalesce(` + freshColumns + `, s.created_at) + s.max_age <= coalesce(@now, now()))`

// ListSchedules returns schedules in the order of their making. A bad parameter is a
// *FieldError.
func (c *Client) ListSchedules(ctx context.Context, p ListSchedulesParams) ([]*Schedule, error) {
	if err := p.Scope.Validate(); err != nil {
		return nil, err
	}
	if p.After != "" && !validID(p.After) {
		return nil, errCursor
	}
	if !printable(p.UserID) || !printable(p.SiteID) || !printable(p.Name) {
		return nil, nil // there is none
	}
	if p.Limit == 0 {
		p.Limit = 50
	}
	args := named{"limit": min(max(p.Limit, 1), 200)}
	where := "WHERE true" + p.Scope.whereIn("s", args)
	for _, f := range []struct{ column, value string }{{"user_id", p.UserID}, {"site_id", p.SiteID}, {"name", p.Name}} {
		if f.value != "" {
			where += " AND s." + f.column + " = @" + f.column
			args[f.column] = f.value
		}
	}
	if p.Alert {
		where += alerts
	}
	if p.After != "" {
		where += " AND s.id > @after::uuid"
		args["after"] = p.After
	}
	return c.schedules(ctx, where+" ORDER BY s.id LIMIT @limit", args)
}

// Slot is a time at which a schedule starts a backup.
type Slot struct {
	At    time.Time // that the cron expression names
	RunAt time.Time // At and the schedule's share of its spread
}

// MaxNextRuns is the most that NextRuns tells.
const MaxNextRuns = 100

// NextRuns are the next n slots of a schedule, 1 to MaxNextRuns, or fewer if it has no
// more.
func (s *Schedule) NextRuns(n int) ([]Slot, error) {
	next := *s
	if err := next.parse(); err != nil {
		return nil, err
	}
	var slots []Slot
	for range min(max(n, 1), MaxNextRuns) {
		if next.NextSlot == nil {
			break
		}
		slots = append(slots, Slot{At: *next.NextSlot, RunAt: *next.NextRunAt})
		next.next(*next.NextSlot)
	}
	return slots, nil
}

// NextRuns are the next n slots of the schedule with the id; see Schedule.NextRuns.
func (c *Client) NextRuns(ctx context.Context, id string, n int) ([]Slot, error) {
	s, err := c.GetSchedule(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.NextRuns(n)
}

// PreviewRuns are the first n slots that a schedule would have if it were put now. A
// bad parameter is a *FieldError.
func (c *Client) PreviewRuns(ctx context.Context, p ScheduleParams, n int) ([]Slot, error) {
	if err := c.scheduleDefaults(&p); err != nil {
		return nil, err
	}
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	now, err := c.now(ctx, c.cfg.Pool)
	if err != nil {
		return nil, err
	}
	p.Spread = 0 // which follows from an id that it hasn't
	s := &Schedule{CreatedAt: now, ScheduleParams: p}
	if err := s.parse(); err != nil {
		return nil, err
	}
	s.next(now)
	return s.NextRuns(n)
}

// ScheduleRun is what became of a slot, or of several that were skipped one after
// another for one reason.
type ScheduleRun struct {
	Slot     time.Time // the first
	LastSlot time.Time
	Slots    int // how many
	Status   RunStatus
	Reason   SkipReason // of RunSkipped
	BackupID string     // of RunStarted
	At       time.Time  // when that was decided
}

// ScheduleRuns returns up to limit (1 to 200) runs of a schedule whose slots are before
// before, if that isn't zero; the last slots first.
func (c *Client) ScheduleRuns(ctx context.Context, id string, before time.Time, limit int) ([]ScheduleRun, error) {
	switch {
	case !validID(id):
		return nil, ErrScheduleNotFound
	case c.cfg.Pool == nil:
		return nil, errNoPool
	case !before.IsZero() && !storable(before):
		return nil, &FieldError{"before", "must be in the years 1 to 9999"}
	}
	var until *time.Time
	if !before.IsZero() {
		until = &before
	}
	rows, err := c.cfg.Pool.Query(ctx, c.sql(`SELECT slot, last_slot, slots, status, coalesce(reason, ''), coalesce(backup_id::text, ''), at
		FROM {{schema}}.backup_schedule_run WHERE schedule_id = @id AND (@until::timestamptz IS NULL OR slot < @until) ORDER BY slot DESC LIMIT @limit`),
		named{"id": id, "until": until, "limit": min(max(limit, 1), 200)})
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ScheduleRun])
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	return runs, nil
}

// RunSchedule starts a backup as the schedule would, now, whatever its slots, its
// overlap policy and its pauses say. p may have an idempotency key; what else it says is
// the schedule's to say.
func (c *Client) RunSchedule(ctx context.Context, id string, p StartParams) (b *Backup, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		s, err := c.lockSchedule(ctx, tx, id)
		if err != nil {
			return err
		}
		b, err = c.StartTx(ctx, tx, StartParams{
			UserID: s.UserID, SiteID: s.SiteID, Providers: s.Providers, Labels: s.Labels, ContinueOnFailure: s.ContinueOnFailure, MaxSize: s.MaxSize,
			IdempotencyKey: p.IdempotencyKey, IdempotencyScope: p.IdempotencyScope, schedule: s.ID,
		})
		return err
	})
	return b, err
}
