package backup

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/backup/cron"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// ErrScheduleNotFound means that no schedule has that id. An id that is no UUID is
// not found, too.
var ErrScheduleNotFound = errors.New("schedule not found")

// ScheduleExistsError means that a schedule wasn't made, because the user's site
// has one of that name. Nothing was written.
type ScheduleExistsError struct{ ScheduleID string }

func (e *ScheduleExistsError) Error() string {
	return "put schedule: " + e.ScheduleID + " has that name"
}

// VersionError means that a schedule wasn't changed, because it was changed since it
// was read. Nothing was written.
type VersionError struct{ Version int64 } // the present one

func (e *VersionError) Error() string {
	return fmt.Sprintf("change schedule: it has version %d", e.Version)
}

// DeclaredError means that a schedule wasn't changed, because it is one of the
// server's configuration file and is changed there. Nothing was written.
type DeclaredError struct{ Name string }

func (e *DeclaredError) Error() string {
	return fmt.Sprintf("change schedule: %q is declared in the server's configuration", e.Name)
}

// CatchUp says what becomes of a slot whose time has passed when a tick finds it,
// because no process was there to start it.
type CatchUp string

// What a tick can do. Of several slots that have passed it never starts more than
// the last.
const (
	CatchUpLast CatchUp = "last" // start the last one however late; the default
	CatchUpNone CatchUp = "none" // start it only if it is less than CatchUpGrace late
)

// CatchUpGrace is how late a slot may be under CatchUpNone: as much as a leader's
// loss or a deploy takes.
const CatchUpGrace = 5 * time.Minute

// Overlap says what becomes of a slot while a backup of the same schedule hasn't
// ended.
type Overlap string

// What a tick can do.
const (
	OverlapSkip  Overlap = "skip"  // leave the slot out; the default
	OverlapQueue Overlap = "queue" // start it when the earlier backups have ended; one slot waits, others are left out
	OverlapAllow Overlap = "allow" // start it beside the earlier one
)

// DefaultScheduleName is the name of a schedule that isn't given one.
const DefaultScheduleName = "default"

// maxSpread is the longest ScheduleParams.Spread.
const maxSpread = 24 * time.Hour

// ScheduleParams say when which backups of a user's site are started.
type ScheduleParams struct {
	// UserID and SiteID name the site, with the rules of StartParams.
	UserID string
	SiteID string

	// Name tells the schedules of a site apart: 1 to 63 letters, digits, dots, dashes
	// and underscores. Defaults to DefaultScheduleName. It can't be changed.
	Name string

	// Cron is an expression of five fields, a macro such as @daily, or @every and a
	// duration, and TimeZone the IANA name of the zone it counts in, "UTC" by
	// default. See package cron for both, and for what daylight saving does.
	Cron     string
	TimeZone string

	// Spread moves the schedule's runs by a fixed time between 0 and this, at most 24
	// hours, so that ten thousand schedules for two o'clock don't start at once. How
	// much follows from its id alone. A slot that is due because that was made shorter is
	// no later than the change.
	Spread time.Duration

	CatchUp CatchUp
	Overlap Overlap

	// StartingDeadline is how late a slot may be started; at least a minute: a tick may
	// take that long. A slot that is later is skipped. 0 sets no limit.
	StartingDeadline time.Duration

	// Paused has its slots recorded as skipped, until that changes.
	Paused bool

	// Retention says which of its backups are kept. nil: what the server's default
	// says.
	Retention *retention.Policy

	// MaxAge is how old its newest good backup may be before that is an alert; at
	// least a minute. 0: there is none.
	MaxAge time.Duration

	// Providers, Labels, ContinueOnFailure and MaxSize are those of the backups, see
	// StartParams.
	Providers         []string
	Labels            map[string]string
	ContinueOnFailure bool
	MaxSize           int64

	// IfVersion is the version that the schedule must have; 0: any, or none.
	IfVersion int64

	// IfAbsent makes it an error that the site has a schedule of this name.
	IfAbsent bool

	// Declared marks a schedule of the server's configuration file. Others can't
	// change it.
	Declared bool
}

// Schedule starts backups of a user's site at times that a cron expression names.
//
// A slot is such a time. It runs later by the schedule's share of its spread. What
// became of every slot is told by Client.ScheduleRuns.
type Schedule struct {
	ID      string // a UUID (version 7)
	Version int64  // counts its changes, from 1
	ScheduleParams

	CreatedAt time.Time
	UpdatedAt time.Time
	PausedAt  *time.Time

	NextSlot   *time.Time // nil: it has no more
	NextRunAt  *time.Time // when that is started: NextSlot and the schedule's share of its spread
	LastSlot   *time.Time // the last one of which it is decided what becomes of it
	QueuedSlot *time.Time // one that waits until earlier backups have ended

	LastSuccessAt *time.Time // when its newest good backup was asked for; nil: it has none
	StaleAt       *time.Time // when that is, or was, older than MaxAge; nil without a MaxAge
	Stale         bool       // whether it is
	AlertAt       *time.Time // since when there is an alert for that

	openSkipSlot           *time.Time
	openSkipReason         *string
	resumedFrom, resumedAt *time.Time // the last pause that ended
	spreadAt               *time.Time // when the spread was last changed
	parsed                 *cron.Schedule
}

// offset is how long behind a slot it runs.
func (s *Schedule) offset() time.Duration { return cron.Offset(s.ID, s.Spread) }

// parse reads the cron expression. It was valid when it was stored; what this
// release or its zone data doesn't know any more is an error.
func (s *Schedule) parse() error {
	if s.parsed != nil {
		return nil
	}
	loc, err := cron.LoadZone(s.TimeZone)
	if err != nil {
		return &FieldError{"timeZone", err.Error()}
	}
	s.parsed, err = cron.Parse(s.Cron, loc, s.CreatedAt.Truncate(time.Second))
	if err != nil {
		return &FieldError{"cron", err.Error()}
	}
	return nil
}

// next makes the first slot after t the next one.
func (s *Schedule) next(t time.Time) {
	s.NextSlot, s.NextRunAt = nil, nil
	if slot := s.parsed.Next(t); !slot.IsZero() {
		slot = slot.UTC()
		run := slot.Add(s.offset())
		s.NextSlot, s.NextRunAt = &slot, &run
	}
}

var scheduleName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)

// defaults fills p in and checks it.
func (c *Client) scheduleDefaults(p *ScheduleParams) error {
	if p.Name == "" {
		p.Name = DefaultScheduleName
	}
	if p.TimeZone == "" {
		p.TimeZone = "UTC"
	}
	if p.CatchUp == "" {
		p.CatchUp = CatchUpLast
	}
	if p.Overlap == "" {
		p.Overlap = OverlapSkip
	}
	if err := c.validateStart(&StartParams{UserID: p.UserID, SiteID: p.SiteID, Providers: p.Providers, Labels: p.Labels, MaxSize: p.MaxSize}); err != nil {
		return err
	}
	switch {
	case !scheduleName.MatchString(p.Name):
		return &FieldError{"name", "must be 1 to 63 letters, digits, dots, dashes and underscores"}
	case p.CatchUp != CatchUpLast && p.CatchUp != CatchUpNone:
		return &FieldError{"catchUp", "must be none or last"}
	case p.Overlap != OverlapSkip && p.Overlap != OverlapQueue && p.Overlap != OverlapAllow:
		return &FieldError{"overlap", "must be skip, queue or allow"}
	case p.Spread < 0 || p.Spread > maxSpread || p.Spread%time.Second != 0:
		return &FieldError{"spread", "must be whole seconds, at most 24 hours"}
	case p.StartingDeadline < 0 || p.StartingDeadline > 0 && p.StartingDeadline < time.Minute || p.StartingDeadline%time.Second != 0 || p.StartingDeadline > maxSchedulePeriod:
		return &FieldError{"startingDeadline", "must be whole seconds, at least a minute and at most 10 years"}
	case p.MaxAge < 0 || p.MaxAge > 0 && p.MaxAge < time.Minute || p.MaxAge%time.Second != 0 || p.MaxAge > maxSchedulePeriod:
		return &FieldError{"maxAge", "must be whole seconds, at least a minute and at most 10 years"}
	case p.IfVersion < 0:
		return &FieldError{"ifVersion", "must not be negative"}
	}
	if p.Retention != nil {
		if err := p.Retention.Validate(); err != nil {
			return retentionField(err)
		}
	}
	return nil
}

const maxSchedulePeriod = 10 * 366 * 24 * time.Hour

// retentionField names the field of a policy within a request.
func retentionField(err error) error {
	var field *retention.FieldError
	if errors.As(err, &field) && field.Field != "policy" { // which is the whole
		return &FieldError{"retention." + field.Field, field.Rule}
	}
	if field != nil {
		return &FieldError{"retention", field.Rule}
	}
	return &FieldError{"retention", err.Error()}
}

// judgedColumns are those of scheduleColumns without the documents. Ticks and looks at
// freshness read many schedules at once and need none of these: one that can't be read
// mustn't hold up the other schedules.
const (
	scheduleColumns = whenColumns + `s.retention, s.labels, ` + stateColumns
	judgedColumns   = whenColumns + `NULL::jsonb, '{}'::jsonb, ` + stateColumns

	whenColumns = `s.id, s.version, s.user_id, s.site_id, s.name, s.declared, s.created_at, s.updated_at,
	s.cron, s.time_zone, s.spread, s.catch_up, s.overlap, s.starting_deadline, s.paused_at, s.resumed_from, s.resumed_at, s.spread_at, s.max_age, `
	stateColumns = `s.providers, s.continue_on_failure, coalesce(s.max_size, 0),
	s.next_slot, s.next_run_at, s.last_slot, s.queued_slot, s.open_skip_slot, s.open_skip_reason, s.last_success_at, s.stale_at, s.alert_at`
)

func scanSchedule(row pgx.CollectableRow) (*Schedule, error) { return scanScheduleAnd(row) }

func scanScheduleAnd(row pgx.CollectableRow, more ...any) (*Schedule, error) {
	var s Schedule
	var deadline, maxAge *time.Duration
	err := row.Scan(append([]any{&s.ID, &s.Version, &s.UserID, &s.SiteID, &s.Name, &s.Declared, &s.CreatedAt, &s.UpdatedAt,
		&s.Cron, &s.TimeZone, &s.Spread, &s.CatchUp, &s.Overlap, &deadline, &s.PausedAt, &s.resumedFrom, &s.resumedAt, &s.spreadAt, &maxAge,
		&s.Retention, &s.Labels, &s.Providers, &s.ContinueOnFailure, &s.MaxSize,
		&s.NextSlot, &s.NextRunAt, &s.LastSlot, &s.QueuedSlot, &s.openSkipSlot, &s.openSkipReason, &s.LastSuccessAt, &s.StaleAt, &s.AlertAt,
	}, more...)...)
	if deadline != nil {
		s.StartingDeadline = *deadline
	}
	if maxAge != nil {
		s.MaxAge = *maxAge
	}
	s.Paused = s.PausedAt != nil
	for _, t := range []*time.Time{s.NextSlot, s.NextRunAt, s.LastSlot, s.QueuedSlot, s.openSkipSlot} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return &s, err
}
