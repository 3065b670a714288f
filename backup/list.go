package backup

import (
	"context"
	"slices"
	"time"
)

// ListParams choose backups. A zero field chooses all; those that are set must
// all hold.
type ListParams struct {
	Scope    Scope // what the caller may see
	UserID   string
	SiteID   string
	Schedule string // the id of the schedule that started them
	State    State
	States   []State   // any of them
	Since    time.Time // created then or later
	Until    time.Time // created before
	After    *Cursor   // continue behind this one
	Limit    int       // 1 to 200; defaults to 50
}

// List returns backups without their tasks, the newest first. A bad parameter is
// a *FieldError.
func (c *Client) List(ctx context.Context, p ListParams) ([]*Backup, error) {
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	if p.Schedule != "" && !validID(p.Schedule) {
		return nil, nil // there is none
	}
	if !printable(p.UserID) || !printable(p.SiteID) {
		return nil, nil // nobody has such an id
	}
	tail, args := p.query()
	return c.backups(ctx, c.cfg.Pool, tail, args)
}

func (p *ListParams) validate() error {
	if err := p.Scope.Validate(); err != nil {
		return err
	}
	if p.After != nil && (!validID(p.After.ID) || !storable(p.After.CreatedAt)) {
		return errCursor
	}
	for _, s := range append([]State{p.State}, p.States...) {
		if s != "" && !slices.Contains(states, s) {
			return &FieldError{"state", "must be pending, running, sealing, done, failed, canceled or deleting"}
		}
	}
	if !p.Since.IsZero() && !storable(p.Since) {
		return &FieldError{"since", "must be in the years 1 to 9999"}
	}
	if !p.Until.IsZero() && !storable(p.Until) {
		return &FieldError{"until", "must be in the years 1 to 9999"}
	}
	return nil
}

var states = []State{StatePending, StateRunning, StateSealing, StateDone, StateFailed, StateCanceled, StateDeleting}

// query is the statement's end behind the table, whose alias is b. There are as
// many as there are sets of filters: values are arguments.
func (p *ListParams) query() (string, named) {
	if p.Limit == 0 {
		p.Limit = 50
	}
	args := named{"limit": min(max(p.Limit, 1), 200)}
	where := "WHERE true" + p.Scope.where(args)
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
	if p.Schedule != "" {
		filter("b.schedule_id = @schedule::uuid", "schedule", p.Schedule)
	}
	if p.State != "" {
		filter("b.state = @state", "state", p.State)
	}
	if len(p.States) > 0 {
		filter("b.state = ANY (@states::text[])", "states", p.States)
	}
	if !p.Since.IsZero() {
		filter("b.created_at >= @since", "since", p.Since)
	}
	if !p.Until.IsZero() {
		filter("b.created_at < @until", "until", p.Until)
	}
	if p.After != nil {
		args["at"] = p.After.CreatedAt
		filter("(b.created_at, b.id) < (@at, @after::uuid)", "after", p.After.ID)
	}
	return where + " ORDER BY b.created_at DESC, b.id DESC LIMIT @limit", args
}
