package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// PutSchedule makes the schedule of that name what p says, or makes one. A bad
// parameter is a *FieldError.
//
// A schedule whose expression or time zone changes goes on behind the last slot of
// which something became, or else behind its making: none of the new slots since then
// is lost, but CatchUp says what becomes of them.
func (c *Client) PutSchedule(ctx context.Context, p ScheduleParams) (s *Schedule, err error) {
	if err := c.scheduleDefaults(&p); err != nil {
		return nil, err // before the database is asked: it may be away
	}
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		s, err = c.PutScheduleTx(ctx, tx, p)
		return err
	})
	return s, err
}

// PutScheduleTx is PutSchedule as a part of tx. After an error the caller must roll
// tx back.
func (c *Client) PutScheduleTx(ctx context.Context, tx pgx.Tx, p ScheduleParams) (*Schedule, error) {
	if err := c.scheduleDefaults(&p); err != nil {
		return nil, err
	}
	for range startTries {
		s, err := c.scheduleNamed(ctx, tx, &p)
		if err != nil {
			return nil, err
		}
		if s != nil {
			return c.replaceSchedule(ctx, tx, s, p)
		}
		if p.IfVersion > 0 {
			return nil, ErrScheduleNotFound
		}
		if err := c.notErasing(ctx, tx, p.UserID, p.SiteID); err != nil {
			return nil, err
		}
		if s, err = c.insertSchedule(ctx, tx, p); s != nil || err != nil {
			return s, err
		}
	}
	return nil, errStartRaced
}

// scheduleNamed locks the schedule that p names: nil.
func (c *Client) scheduleNamed(ctx context.Context, tx pgx.Tx, p *ScheduleParams) (*Schedule, error) {
	s, err := c.oneSchedule(ctx, tx, "WHERE s.user_id = @user AND s.site_id = @site AND s.name = @name FOR NO KEY UPDATE",
		named{"user": p.UserID, "site": p.SiteID, "name": p.Name})
	if err == ErrScheduleNotFound { //nolint:errorlint // it is ours
		return nil, nil //nolint:nilnil // there is none
	}
	return s, err
}

// oneSchedule is the one that the statement's end chooses: ErrScheduleNotFound.
func (c *Client) oneSchedule(ctx context.Context, db querier, tail string, args named) (*Schedule, error) {
	rows, err := db.Query(ctx, c.sql("SELECT "+scheduleColumns+" FROM {{schema}}.backup_schedule s "+tail), args)
	if err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	s, err := pgx.CollectOneRow(rows, scanSchedule)
	if isNoRows(err) {
		return nil, ErrScheduleNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	return s, nil
}

// now is the injected clock's time, or the database's.
func (c *Client) now(ctx context.Context, db querier) (now time.Time, err error) {
	if c.cfg.Now != nil {
		return c.cfg.Now(), nil
	}
	rows, err := db.Query(ctx, "SELECT now()")
	if err == nil {
		now, err = pgx.CollectOneRow(rows, pgx.RowTo[time.Time])
	}
	if err != nil {
		return now, fmt.Errorf("read clock: %w", err)
	}
	return now, nil
}

// insertSchedule returns nil if there is one of that name by now.
func (c *Client) insertSchedule(ctx context.Context, tx pgx.Tx, p ScheduleParams) (*Schedule, error) {
	now, err := c.now(ctx, tx)
	if err != nil {
		return nil, err
	}
	s := &Schedule{ID: newID(), CreatedAt: now, ScheduleParams: p}
	if err := s.parse(); err != nil {
		return nil, err
	}
	s.next(now)
	return c.writeSchedule(ctx, tx, s, `
		INSERT INTO {{schema}}.backup_schedule AS s (id, user_id, site_id, name, declared, created_at, updated_at,
			cron, time_zone, spread, catch_up, overlap, starting_deadline, paused_at, retention, max_age, stale_at,
			providers, labels, continue_on_failure, max_size, next_slot, next_run_at)
		VALUES (@id, @user, @site, @name, @declared, @now, @now,
			@cron, @zone, @spread, @catch_up, @overlap, @deadline, CASE WHEN @paused THEN @now::timestamptz END, @retention, @max_age, @now + @max_age::interval,
			@providers, @labels, @continue, @max_size, @next_slot, @next_run_at)
		ON CONFLICT (user_id, site_id, name) DO NOTHING`, now,
		named{"user": p.UserID, "site": p.SiteID, "name": p.Name})
}

// replaceSchedule makes s, which is locked, what p says.
func (c *Client) replaceSchedule(ctx context.Context, tx pgx.Tx, s *Schedule, p ScheduleParams) (*Schedule, error) {
	switch {
	case p.IfAbsent:
		return nil, &ScheduleExistsError{ScheduleID: s.ID}
	case p.IfVersion > 0 && p.IfVersion != s.Version:
		return nil, &VersionError{Version: s.Version}
	case s.Declared && !p.Declared:
		return nil, &DeclaredError{Name: s.Name}
	}
	now, err := c.now(ctx, tx)
	if err != nil {
		return nil, err
	}
	if !s.Paused && p.Paused || s.Spread != p.Spread {
		if err := c.decidePaused(ctx, tx, s, now); err != nil {
			return nil, err
		}
	}
	moved := s.Cron != p.Cron || s.TimeZone != p.TimeZone
	samePolicy := s.Retention == p.Retention // a pause's: in the row there may be rules that only a later release knows
	s.ScheduleParams = p
	s.parsed = nil
	if moved { // or else it was valid, and may be paused even if it can't be read any more
		if err := s.parse(); err != nil {
			return nil, err
		}
	}
	switch {
	case moved && s.LastSlot != nil:
		s.next(*s.LastSlot)
	case moved:
		s.next(s.CreatedAt)
	case s.NextSlot != nil: // the spread may be another
		run := s.NextSlot.Add(s.offset())
		s.NextRunAt = &run
	}
	// Its backups are to be looked at now, and not before: nobody is behind with what was asked for just now.
	_, err = c.writeSchedule(ctx, tx, s, `
		UPDATE {{schema}}.backup_schedule AS s SET version = version + 1, updated_at = @now, declared = @declared,
			cron = @cron, time_zone = @zone, spread = @spread,
			spread_at = CASE WHEN spread = @spread OR @moved THEN spread_at ELSE @now END, catch_up = @catch_up, overlap = @overlap, starting_deadline = @deadline,
			paused_at = CASE WHEN @paused THEN coalesce(paused_at, @now) END, retention = CASE WHEN @same_policy THEN retention ELSE @retention END,
			resumed_from = CASE WHEN paused_at IS NULL OR @paused THEN resumed_from ELSE paused_at END,
			resumed_at = CASE WHEN paused_at IS NULL OR @paused THEN resumed_at ELSE @now END,
			max_age = @max_age, stale_at = CASE WHEN alert_at IS NOT NULL OR @max_age::interval IS NOT NULL THEN @now::timestamptz END,
			providers = @providers, labels = @labels, continue_on_failure = @continue, max_size = @max_size,
			next_slot = @next_slot, next_run_at = @next_run_at, set_aside_until = NULL
		WHERE id = @id`, now, named{"moved": moved, "same_policy": samePolicy})
	if err != nil {
		return nil, err
	}
	return c.freshSchedule(ctx, tx, s.ID)
}

// decidePaused decides the slots of the last pause, or the present one, that nobody has
// looked at, before another one begins or they are due at another time: later only that
// is known.
func (c *Client) decidePaused(ctx context.Context, tx pgx.Tx, s *Schedule, now time.Time) error {
	now = now.Add(-time.Microsecond) // a slot of this moment is one of the pause that begins
	for s.isDue(now) && (s.Paused || s.resumedAt != nil && s.NextRunAt.Before(*s.resumedAt)) {
		if _, err := c.tickLocked(ctx, tx, []*due{{Schedule: s}}, now); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) writeSchedule(ctx context.Context, tx pgx.Tx, s *Schedule, statement string, now time.Time, args named) (*Schedule, error) {
	p := &s.ScheduleParams
	for name, value := range map[string]any{
		"id": s.ID, "now": now, "declared": p.Declared, "cron": p.Cron, "zone": p.TimeZone, "spread": p.Spread,
		"catch_up": p.CatchUp, "overlap": p.Overlap, "deadline": orNull(p.StartingDeadline), "paused": p.Paused,
		"retention": p.Retention, "max_age": orNull(p.MaxAge), "providers": nilIfEmpty(p.Providers), "labels": labels(p.Labels),
		"continue": p.ContinueOnFailure, "max_size": orNull(p.MaxSize), "next_slot": s.NextSlot, "next_run_at": s.NextRunAt,
	} {
		args[name] = value
	}
	rows, err := tx.Query(ctx, c.sql(statement+" RETURNING "+scheduleColumns), args)
	if err != nil {
		return nil, fmt.Errorf("write schedule: %w", err)
	}
	written, err := pgx.CollectOneRow(rows, scanSchedule)
	if isNoRows(err) {
		return nil, nil //nolint:nilnil // another one took the name
	}
	if err != nil {
		return nil, fmt.Errorf("write schedule: %w", err)
	}
	return written, nil
}

func orNull[T int64 | time.Duration](v T) *T {
	if v == 0 {
		return nil
	}
	return &v
}

// DeleteSchedule removes a schedule and the history of its slots. Its backups stay, and
// retention goes on to judge them as if the schedule were there: by the policy that it had
// last, or else the server's default, in its time zone. ifVersion is the version it must
// have; 0: any.
func (c *Client) DeleteSchedule(ctx context.Context, id string, ifVersion int64) error {
	return c.inTx(ctx, func(tx pgx.Tx) error { return c.DeleteScheduleTx(ctx, tx, id, ifVersion) })
}

// DeleteScheduleTx is DeleteSchedule as a part of tx.
func (c *Client) DeleteScheduleTx(ctx context.Context, tx pgx.Tx, id string, ifVersion int64) error {
	s, err := c.lockSchedule(ctx, tx, id)
	switch {
	case err != nil:
		return err
	case ifVersion > 0 && ifVersion != s.Version:
		return &VersionError{Version: s.Version}
	case s.Declared:
		return &DeclaredError{Name: s.Name}
	}
	if _, err := c.dropSchedules(ctx, tx, "id = @id", named{"id": id}); err != nil {
		return fmt.Errorf("delete schedule: %w", err)
	}
	return nil
}

// dropSchedules leaves of the schedules that it deletes what retention has to know of them.
func (c *Client) dropSchedules(ctx context.Context, tx pgx.Tx, where string, args named) (n int, err error) {
	args["now"] = c.injected()
	tag, err := tx.Exec(ctx, c.sql(`
		WITH gone AS (DELETE FROM {{schema}}.backup_schedule WHERE `+where+` RETURNING id, user_id, site_id, time_zone, retention)
		INSERT INTO {{schema}}.backup_schedule_gone (id, user_id, site_id, time_zone, retention, deleted_at)
		SELECT id, user_id, site_id, time_zone, retention, coalesce(@now, now()) FROM gone`), args)
	return int(tag.RowsAffected()), err
}

func (c *Client) lockSchedule(ctx context.Context, tx pgx.Tx, id string) (*Schedule, error) {
	if !validID(id) {
		return nil, ErrScheduleNotFound
	}
	return c.oneSchedule(ctx, tx, "WHERE s.id = @id FOR UPDATE", named{"id": id})
}

// PauseSchedule has the slots of a schedule skipped until it is called with false: also
// those that no tick came to look at before the pause ended. A declared schedule can be
// paused, too, until the server starts again.
func (c *Client) PauseSchedule(ctx context.Context, id string, paused bool) (s *Schedule, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		if s, err = c.lockSchedule(ctx, tx, id); err != nil || s.Paused == paused {
			return err
		}
		p := s.ScheduleParams
		p.Paused = paused
		s, err = c.replaceSchedule(ctx, tx, s, p)
		return err
	})
	return s, err
}
