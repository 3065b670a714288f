package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/backup/retention"
)

const (
	// removeAtOnce bounds the backups of one transaction, which has a pair's ended backups
	// locked. Where the pair has very many, removeShare bounds which part of them they are:
	// to lock and read them all takes longer than to remove a few.
	removeAtOnce = 50
	removeShare  = 200

	// removeMost bounds about how many backups one call of ApplyRetention removes: whoever
	// calls it has other things to do, too.
	removeMost = 10 * removeAtOnce
)

// Applied says what ApplyRetention did.
type Applied struct {
	Pairs   int   // that were looked at
	Removed int   // backups that are deleting since
	Left    int   // pairs that somebody's open transaction kept from being judged
	Next    *Pair // where to go on, maybe with the pair that it ended in; nil: there are no more
}

// governed are the tables of the pairs with a schedule that has a policy, or had one when
// it went.
var governed = []string{"backup_schedule", "backup_schedule_gone"}

// hasPolicy limits their rows.
const hasPolicy = " AND b.retention IS NOT NULL"

// ApplyRetention goes through up to limit pairs behind after, in their order, and makes
// deleting what retention lets go of, until that is some hundreds. Only pairs with a policy are looked at: where
// Config.Retention is nil, those that have a schedule with one, or had it.
//
// Many processes may do so at once, while backups are verified, held, retried and
// deleted. A pair is judged by what can be locked at once: a backup that somebody else
// has locked counts for nothing, so that nothing goes because of it, and nobody waits.
//
// An error on one pair doesn't keep the others from being looked at. Where Pairs is 0,
// too, the error was one for all: the database is away.
func (l *Ledger) ApplyRetention(ctx context.Context, after Pair, limit int) (done Applied, err error) {
	c := l.c
	if c.cfg.Pool == nil {
		return done, errNoPool
	}
	tables, where := []string{"backup"}, ""
	if c.cfg.Retention == nil {
		tables, where = governed, hasPolicy
	}
	pairs, err := c.pairsAfter(ctx, c.cfg.Pool, tables, where, after, limit, named{})
	if err != nil {
		return done, err
	}
	now, err := c.now(ctx, c.cfg.Pool)
	if err != nil {
		return done, err
	}
	// Most have nothing to be removed, and cost no lock.
	var some []Pair
	err = c.planPairs(ctx, c.cfg.Pool, pairs, now, func(p *pairPlan) error {
		if len(p.removed()) > 0 {
			some = append(some, p.Pair)
		}
		return nil
	})
	if err != nil {
		return done, err
	}
	var errs []error
	looked := len(pairs)
	for _, p := range some {
		removed, more, err := c.applyTo(ctx, p, removeMost-done.Removed)
		done.Removed += removed
		switch {
		case isSQLState(err, pgerrcode.LockNotAvailable):
			done.Left++
		case err != nil && (ctx.Err() != nil || IsUnavailable(err)):
			return done, err
		case err != nil:
			errs = append(errs, fmt.Errorf("apply retention: %w", err))
		}
		if more {
			looked = slices.Index(pairs, p)
			break
		}
	}
	switch done.Pairs = looked; {
	case looked == 0 && len(pairs) > 0:
		done.Next = &after
	case looked < len(pairs), looked == limit:
		done.Next = &pairs[looked-1]
	}
	return done, errors.Join(errs...)
}

// applyTo applies retention to a pair, in as many transactions as that takes, until it
// has removed most. More says that there may be more.
func (c *Client) applyTo(ctx context.Context, p Pair, most int) (removed int, more bool, err error) {
	for more = true; more && removed < most; {
		var n int
		err = c.inTx(ctx, func(tx pgx.Tx) (err error) {
			n, more, err = c.applyTx(ctx, tx, p)
			return err
		})
		if err != nil {
			return removed, false, err
		}
		removed += n
	}
	return removed, more, nil
}

// applyTx locks first, in the order of ids, and reads then: what it judges can't change
// any more. Whoever has a row locked may be about to mark it corrupt, to hold it or to
// retry it. Without that row the plan keeps more and never less: those behind it take
// its place. The policies are locked, too: one that was made longer before this commits
// is heeded.
func (c *Client) applyTx(ctx context.Context, tx pgx.Tx, p Pair) (removed int, more bool, err error) {
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
		return 0, false, fmt.Errorf("bound locks: %w", err)
	}
	ids, err := c.lockEnded(ctx, tx, p)
	if err != nil || len(ids) == 0 {
		return 0, false, err
	}
	groups, err := c.retentionGroups(ctx, tx, []Pair{p}, "FOR SHARE NOWAIT")
	if err != nil {
		return 0, false, err
	}
	now, err := c.now(ctx, tx)
	if err != nil {
		return 0, false, err
	}
	var plan *pairPlan
	err = c.planRows(ctx, tx, "WHERE b.id = ANY (@ids::uuid[])", named{"ids": ids}, groups, now, func(p *pairPlan) error {
		plan = p
		return nil
	})
	if err != nil || plan == nil {
		return 0, false, err
	}
	return c.removePlanned(ctx, tx, plan)
}

func (c *Client) lockEnded(ctx context.Context, tx pgx.Tx, p Pair) ([]string, error) {
	rows, err := tx.Query(ctx, c.sql(`SELECT b.id::text FROM {{schema}}.backup b
		WHERE b.user_id = @user AND b.site_id = @site AND b.state IN ('done', 'failed', 'canceled')
		ORDER BY b.id FOR NO KEY UPDATE SKIP LOCKED`), named{"user": p.UserID, "site": p.SiteID})
	if err != nil {
		return nil, fmt.Errorf("lock backups: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("lock backups: %w", err)
	}
	return ids, nil
}

// removePlanned deletes, as Delete does, the oldest of those that go. More says that there
// are more.
func (c *Client) removePlanned(ctx context.Context, tx pgx.Tx, plan *pairPlan) (removed int, more bool, err error) {
	ids := plan.removed()
	if most := min(max(removeAtOnce, len(plan.decisions)/removeShare), removeMost); len(ids) > most {
		ids, more = ids[:most], true
	}
	if len(ids) == 0 {
		return 0, false, nil
	}
	backups, err := c.backups(ctx, tx, "WHERE b.id = ANY (@ids::uuid[]) ORDER BY b.id", named{"ids": ids})
	if err != nil {
		return 0, false, err
	}
	reasons := plan.reasons()
	for _, b := range backups {
		was := b.State
		if err := c.changeLocked(ctx, tx, b, func(ch *change) error { return ch.delete(ctx) }); err != nil {
			return 0, false, err
		}
		c.cfg.Logger.InfoContext(ctx, "retention removes a backup", "backup", b.ID, "state", was, "reasons", reasons[b.ID])
	}
	return len(backups), more, nil
}

// RetentionDecision is what becomes of a backup, and why.
type RetentionDecision struct {
	Pair
	BackupID   string
	ScheduleID string // the one that started it, which may be gone; empty: none did
	State      State
	Corrupt    bool // a verification has found it damaged
	CreatedAt  time.Time
	Keep       bool
	Reasons    []string // the codes of package retention, at least one
}

func decisionOf(p *pairPlan, d *retention.Decision) RetentionDecision {
	r := p.backups[d.Backup.ID]
	return RetentionDecision{
		Pair: p.Pair, BackupID: r.ID, ScheduleID: r.ScheduleID, State: r.State, Corrupt: r.Corrupt, CreatedAt: r.CreatedAt,
		Keep: d.Keep, Reasons: d.Reasons,
	}
}
