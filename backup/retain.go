package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/backup/cron"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// KindRetention is the River kind that removes what retention lets go of.
const KindRetention = "backup_retention"

// RetentionArgs are the args of the periodic River job that applies retention.
type RetentionArgs struct{}

// Kind is KindRetention.
func (RetentionArgs) Kind() string { return KindRetention }

// Pair is a user's site. It is also a place in the order of all of them; the zero
// Pair is before the first.
type Pair struct {
	UserID string `json:"userId"`
	SiteID string `json:"siteId"`
}

// retained is what retention has to know of a backup.
type retained struct {
	ID         string
	ScheduleID string // it may be gone; empty: none started it
	State      State
	Open       bool // a task of it hasn't ended
	Corrupt    bool
	Held       bool
	CreatedAt  time.Time
	FinishedAt *time.Time
	Providers  []string // those it has a copy of
}

// retainedColumns are those of retained, behind the pair. Tasks of a backup that has
// ended change only under its lock.
const retainedColumns = `b.user_id, b.site_id, b.id::text, coalesce(b.schedule_id::text, ''), b.state, b.open_tasks > 0, b.corrupt_at IS NOT NULL, b.held_at IS NOT NULL,
	b.created_at, b.finished_at, ARRAY(SELECT t.provider FROM {{schema}}.backup_task t WHERE t.backup_id = b.id AND t.state = 'done' ORDER BY t.provider)`

func (r *retained) dest(p *Pair) []any {
	return []any{&p.UserID, &p.SiteID, &r.ID, &r.ScheduleID, &r.State, &r.Open, &r.Corrupt, &r.Held, &r.CreatedAt, &r.FinishedAt, &r.Providers}
}

// status is the state as package retention has it.
func (r *retained) status() retention.Status {
	switch {
	case r.State == StateDeleting:
		return retention.Deleting
	case !r.State.Terminal() || r.Open:
		return retention.Open
	case r.State == StateFailed:
		return retention.Failed
	case r.State == StateCanceled:
		return retention.Canceled
	case r.Corrupt:
		return retention.Corrupt
	default:
		return retention.Good
	}
}

// retentionGroups are who governs backups: by the ids of their schedules, and, under
// "", the default.
type retentionGroups map[string]retention.Group

// input is r for retention.Plan. The calendar goes by when it was asked for: a slot
// that was caught up late has data that is as young as that.
func (g retentionGroups) input(r *retained) retention.Backup {
	b := retention.Backup{ID: r.ID, At: r.CreatedAt, Status: r.status(), Held: r.Held, Providers: r.Providers}
	if r.FinishedAt != nil {
		b.EndedAt = *r.FinishedAt
	}
	if _, ok := g[r.ScheduleID]; ok {
		b.Group = r.ScheduleID
	}
	return b
}

// pairPlan is what retention says of one pair.
type pairPlan struct {
	Pair
	backups   map[string]*retained // by id
	decisions []retention.Decision // newest first
}

// removed are those that go now, oldest first.
func (p *pairPlan) removed() (ids []string) {
	for i := len(p.decisions) - 1; i >= 0; i-- {
		if d := &p.decisions[i]; !d.Keep && d.Backup.Status != retention.Deleting {
			ids = append(ids, d.Backup.ID)
		}
	}
	return ids
}

// reasons are those of the decisions, by the backups' ids.
func (p *pairPlan) reasons() map[string][]string {
	reasons := make(map[string][]string, len(p.decisions))
	for _, d := range p.decisions {
		reasons[d.Backup.ID] = d.Reasons
	}
	return reasons
}

// pairPlanner puts the plans of pairs together, whose rows come one pair after
// another.
type pairPlanner struct {
	groups retentionGroups
	now    time.Time
	fn     func(*pairPlan) error

	current *pairPlan
	inputs  []retention.Backup
}

func (p *pairPlanner) add(at Pair, r *retained) error {
	if p.current == nil || p.current.Pair != at {
		if err := p.end(); err != nil {
			return err
		}
		p.current, p.inputs = &pairPlan{Pair: at, backups: make(map[string]*retained)}, nil
	}
	p.current.backups[r.ID] = r
	p.inputs = append(p.inputs, p.groups.input(r))
	return nil
}

func (p *pairPlanner) end() error {
	if p.current == nil {
		return nil
	}
	p.current.decisions = retention.Plan(p.inputs, p.groups, p.now)
	return p.fn(p.current)
}

// planRows plans what the statement's end chooses of the backups, and calls fn for each
// pair. Only one pair's backups are in memory at a time.
func (c *Client) planRows(ctx context.Context, q querier, tail string, args named, groups retentionGroups, now time.Time, fn func(*pairPlan) error) error {
	rows, err := q.Query(ctx, c.sql("SELECT "+retainedColumns+" FROM {{schema}}.backup b "+tail), args)
	if err != nil {
		return fmt.Errorf("read backups: %w", err)
	}
	defer rows.Close()
	p := &pairPlanner{groups: groups, now: now, fn: fn}
	for rows.Next() {
		var at Pair
		r := new(retained)
		if err := rows.Scan(r.dest(&at)...); err != nil {
			return fmt.Errorf("read backups: %w", err)
		}
		if err := p.add(at, r); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read backups: %w", err)
	}
	return p.end()
}

// planPairs plans pairs, in their order. Pairs without a backup are left out.
func (c *Client) planPairs(ctx context.Context, q querier, pairs []Pair, now time.Time, fn func(*pairPlan) error) error {
	if len(pairs) == 0 {
		return nil
	}
	groups, err := c.retentionGroups(ctx, q, pairs, "")
	if err != nil {
		return err
	}
	return c.planRows(ctx, q, `JOIN unnest(@users::text[], @sites::text[]) WITH ORDINALITY AS p (user_id, site_id, n)
		ON b.user_id = p.user_id AND b.site_id = p.site_id ORDER BY p.n`, pairArgs(pairs), groups, now, fn)
}

func pairArgs(pairs []Pair) named {
	users, sites := make([]string, len(pairs)), make([]string, len(pairs))
	for i, p := range pairs {
		users[i], sites[i] = p.UserID, p.SiteID
	}
	return named{"users": users, "sites": sites}
}

// retentionGroups reads the policies of the pairs' schedules, also of those that are gone.
// Each schedule is a group of its own, in its own time zone, also where its policy is the
// default. One that is deleted in between is in both tables, and not in none.
func (c *Client) retentionGroups(ctx context.Context, q querier, pairs []Pair, lock string) (retentionGroups, error) {
	groups := retentionGroups{"": {Policy: c.cfg.Retention}}
	for _, table := range []string{"backup_schedule", "backup_schedule_gone"} {
		rows, err := q.Query(ctx, c.sql(`SELECT s.id::text, s.time_zone, s.retention FROM {{schema}}.`+table+` s
			WHERE (s.user_id, s.site_id) IN (SELECT * FROM unnest(@users::text[], @sites::text[])) `+lock), pairArgs(pairs))
		if err != nil {
			return nil, fmt.Errorf("read policies: %w", err)
		}
		var id, zone string
		var policy []byte
		_, err = pgx.ForEachRow(rows, []any{&id, &zone, &policy}, func() error {
			groups[id] = c.retentionGroup(ctx, id, zone, policy)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read policies: %w", err)
		}
	}
	return groups, nil
}

// retentionGroup reads what governs a schedule's backups. What this release doesn't
// understand, a zone that it doesn't know or a rule of the release behind it, keeps
// everything: read in part, it would keep less than it says.
func (c *Client) retentionGroup(ctx context.Context, id, zone string, stored []byte) retention.Group {
	loc, err := cron.LoadZone(zone)
	policy := c.cfg.Retention
	if err == nil && stored != nil {
		policy = new(retention.Policy)
		d := json.NewDecoder(bytes.NewReader(stored))
		d.DisallowUnknownFields()
		err = d.Decode(policy)
	}
	if err != nil {
		c.cfg.Logger.ErrorContext(ctx, "a schedule's retention can't be read: all its backups are kept", "schedule", id, "error", err)
		return retention.Group{}
	}
	return retention.Group{Policy: policy, Location: loc}
}

// pairsAfter are the next pairs in tables, by one look at an index of each for each pair,
// however many rows a pair has. where limits rows of the alias b.
func (c *Client) pairsAfter(ctx context.Context, q querier, tables []string, where string, after Pair, limit int, args named) ([]Pair, error) {
	args["after_user"], args["after_site"], args["limit"] = after.UserID, after.SiteID, limit
	rows, err := q.Query(ctx, c.sql(pairsQuery(tables, where)), args)
	if err != nil {
		return nil, fmt.Errorf("read pairs: %w", err)
	}
	pairs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Pair])
	if err != nil {
		return nil, fmt.Errorf("read pairs: %w", err)
	}
	return pairs, nil
}

// pairsQuery limits what it takes from each table by itself: Postgres sorts all of a union
// whose rows are only limited together.
func pairsQuery(tables []string, where string) string {
	next := func(user, site string) string {
		looks := make([]string, len(tables))
		for i, table := range tables {
			looks[i] = `(SELECT b.user_id, b.site_id FROM {{schema}}.` + table + ` b WHERE (b.user_id, b.site_id) > (` + user + `, ` + site + `)` + where + `
				ORDER BY b.user_id, b.site_id LIMIT 1)`
		}
		return `(SELECT * FROM (` + strings.Join(looks, " UNION ALL ") + `) b ORDER BY b.user_id, b.site_id LIMIT 1)`
	}
	return `WITH RECURSIVE p AS (` + next("@after_user", "@after_site") + `
		UNION ALL SELECT n.user_id, n.site_id FROM p CROSS JOIN LATERAL ` + next("p.user_id", "p.site_id") + ` n)
		SELECT p.user_id, p.site_id FROM p LIMIT @limit`
}
