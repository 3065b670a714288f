package backup

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sitebackup/sitebackup/backup/retention"
)

const (
	planPairsAtOnce = 50
	maxPlanPairs    = 1000 // of a page: there may be nothing to tell of any
)

// PlanRetentionParams choose decisions.
type PlanRetentionParams struct {
	Scope   Scope  // what the caller may see
	UserID  string // empty: all
	SiteID  string // empty: all
	Removed bool   // only what goes, or is going
	After   *RetentionCursor
	Limit   int // 1 to 1000; defaults to 200
}

// RetentionPlan is a page of decisions: pair by pair in their order, and within a pair
// the newest backup first.
type RetentionPlan struct {
	Now       time.Time // that the decisions are for
	Decisions []RetentionDecision
	Next      *RetentionCursor // nil: there are no more. A page may be empty and have one
}

// RetentionCursor is a place in a retention plan: behind a pair, or, with a Backup,
// behind that one of the pair.
type RetentionCursor struct {
	Pair
	Backup *Cursor
}

// String is the cursor as clients hand it back, in URL-safe base64 that they shouldn't
// read anything into.
func (c *RetentionCursor) String() string {
	var backup string
	if c.Backup != nil {
		backup = c.Backup.String()
	}
	return cursorEncoding.EncodeToString([]byte(c.UserID + "\x00" + c.SiteID + "\x00" + backup))
}

// ParseRetentionCursor reads what String wrote. Anything else is a *FieldError.
func ParseRetentionCursor(s string) (*RetentionCursor, error) {
	if len(s) > 1000 {
		return nil, errCursor
	}
	raw, err := cursorEncoding.DecodeString(s)
	if err != nil {
		return nil, errCursor
	}
	parts := strings.Split(string(raw), "\x00")
	if len(parts) != 3 {
		return nil, errCursor
	}
	c := &RetentionCursor{Pair: Pair{UserID: parts[0], SiteID: parts[1]}}
	if parts[2] != "" {
		if c.Backup, err = ParseCursor(parts[2]); err != nil {
			return nil, err
		}
	}
	if c.validate() != nil {
		return nil, errCursor
	}
	return c, nil
}

func (c *RetentionCursor) validate() error {
	if c.UserID == "" || c.SiteID == "" || !printable(c.UserID) || !printable(c.SiteID) ||
		c.Backup != nil && (!validID(c.Backup.ID) || !storable(c.Backup.CreatedAt)) {
		return errCursor
	}
	return nil
}

// PlanRetention says what retention would do now, and why, and does nothing: for each
// backup of the pairs that p chooses whether it stays, also for those that no policy
// governs. A bad parameter is a *FieldError.
//
// ApplyRetention judges anew. It removes what this says unless something has changed by
// then: another backup became done or corrupt, was held, or time has gone by.
func (c *Client) PlanRetention(ctx context.Context, p PlanRetentionParams) (*RetentionPlan, error) {
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	if err := p.Scope.Validate(); err != nil {
		return nil, err
	}
	if p.After != nil {
		if err := p.After.validate(); err != nil {
			return nil, err
		}
	}
	now, err := c.now(ctx, c.cfg.Pool)
	if err != nil {
		return nil, err
	}
	if p.Limit == 0 {
		p.Limit = 200
	}
	page := &planPage{PlanRetentionParams: p, plan: &RetentionPlan{Now: now}}
	page.Limit = min(max(p.Limit, 1), 1000)
	if !printable(p.UserID) || !printable(p.SiteID) {
		return page.plan, nil // nobody has such an id
	}
	for range maxPlanPairs / planPairsAtOnce {
		pairs, err := page.pairs(ctx, c)
		if err != nil {
			return nil, err
		}
		if len(pairs) == 0 {
			page.plan.Next = nil
			break
		}
		err = c.planPairs(ctx, c.cfg.Pool, pairs, now, page.add)
		if errors.Is(err, errPageFull) {
			break
		}
		if err != nil {
			return nil, err
		}
		page.plan.Next = &RetentionCursor{Pair: pairs[len(pairs)-1]}
	}
	return page.plan, nil
}

// errPageFull ends the reading of pairs.
var errPageFull = errors.New("the page is full")

// planPage is a page that is being filled; its plan's Next is where it has come to.
type planPage struct {
	PlanRetentionParams
	plan *RetentionPlan
}

// pairs are the next ones to look at. A cursor is the client's: the pair that it names
// may be one that isn't to be seen.
func (p *planPage) pairs(ctx context.Context, c *Client) ([]Pair, error) {
	after, pairs := p.plan.Next, []Pair(nil)
	if after == nil && p.After != nil {
		after = p.After
		if after.Backup != nil && p.chooses(after.Pair) {
			pairs = append(pairs, after.Pair)
		}
	}
	var from Pair
	if after != nil {
		from = after.Pair
	}
	args := named{}
	where := p.Scope.where(args)
	if p.UserID != "" {
		where += " AND b.user_id = @user"
		args["user"] = p.UserID
	}
	if p.SiteID != "" {
		where += " AND b.site_id = @site"
		args["site"] = p.SiteID
	}
	more, err := c.pairsAfter(ctx, c.cfg.Pool, []string{"backup"}, where, from, planPairsAtOnce, args)
	return append(pairs, more...), err
}

func (p *planPage) chooses(at Pair) bool {
	return (p.UserID == "" || p.UserID == at.UserID) && (p.SiteID == "" || p.SiteID == at.SiteID) && p.Scope.Allows(at.UserID, at.SiteID)
}

func (p *planPage) add(plan *pairPlan) error {
	for i := range plan.decisions {
		d := &plan.decisions[i]
		if p.Removed && d.Keep || p.After.seen(plan.Pair, &d.Backup) {
			continue
		}
		if len(p.plan.Decisions) == p.Limit {
			last := &p.plan.Decisions[p.Limit-1]
			p.plan.Next = &RetentionCursor{Pair: last.Pair, Backup: &Cursor{CreatedAt: last.CreatedAt, ID: last.BackupID}}
			return errPageFull
		}
		p.plan.Decisions = append(p.plan.Decisions, decisionOf(plan, d))
	}
	return nil
}

// seen reports whether b, of the pair, isn't behind the cursor. Postgres and the cursor
// know microseconds.
func (c *RetentionCursor) seen(at Pair, b *retention.Backup) bool {
	if c == nil || c.Backup == nil || c.Pair != at {
		return false
	}
	if cmp := b.At.Compare(c.Backup.CreatedAt); cmp != 0 {
		return cmp > 0
	}
	return b.ID >= c.Backup.ID
}
