package backup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The verbs that each backup of tiny exports needs several times exist twice: in
// the general way, as a transaction that locks the backup, reads the task,
// decides in Go and writes; and, for the case that is by far the most common, in
// the files group_*.go. There each is one statement over all the rows that are to
// go the same way just now, and what a process wants written while another write
// is under way is written together, in one transaction: what a statement, a
// transaction and a round trip cost is shared. A verb that finds nobody else is
// written at once and alone.
//
// A group keeps all that the general way does. Each statement locks its backups
// first (l), then changes the tasks (t), then counts up from the locked backup
// (u), and writes the events (e), so that the counters stay exact and the events
// have no gaps. A backup that somebody else has locked is left out, so that
// nobody waits for its transaction but who must, and two groups can't wait for
// each other. Where a guard doesn't hold the statement writes nothing for that
// row, and the general way is gone to see why.

// call is one verb, called once.
type call struct {
	ctx   context.Context //nolint:containedctx // of the caller that waits
	taken bool            // into a group that is being written
	ok    bool            // its rows were as it needs them, and are written
	err   error
	done  chan struct{} // closed when ok and err hold
}

// groups writes calls together.
type groups struct {
	turn chan struct{} // has an element while a group is written

	mu   sync.Mutex
	next []verb
}

const (
	maxGroup      = 200              // calls; the rest are the next group's
	groupPatience = 10 * time.Second // for a connection, and then from the first byte to the commit
)

// together waits until a group with v in it is written, and writes one itself
// unless somebody else does. It reports whether v's work is done; where it isn't
// and there is no error, nothing was written for it. Once its group has begun v
// isn't given up, so that what is written and what the caller knows agree.
func (c *Client) together(ctx context.Context, what string, v verb) (ok bool, err error) {
	if c.cfg.Pool == nil {
		return false, errNoPool
	}
	own := v.base()
	own.ctx, own.done = ctx, make(chan struct{})
	c.groups.mu.Lock()
	c.groups.next = append(c.groups.next, v)
	c.groups.mu.Unlock()
	select {
	case <-own.done:
	case c.groups.turn <- struct{}{}:
		c.writeUntil(own) //nolint:contextcheck // a group isn't one caller's
	case <-ctx.Done():
		if c.groups.leave(own) {
			return false, fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		<-own.done
	}
	if own.err != nil {
		return false, fmt.Errorf("%s: %w", what, own.err)
	}
	return own.ok, nil
}

// writeUntil writes groups until one had the call in it: more than maxGroup may
// have been before it. Whoever calls it has the turn.
func (c *Client) writeUntil(own *call) {
	defer func() {
		c.groups.leave(own) // where taking a connection has panicked
		<-c.groups.turn
	}()
	for !own.settled() {
		c.writeGroup(own)
	}
}

// leave gives a call up, unless its group has begun.
func (g *groups) leave(c *call) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.taken {
		return false
	}
	c.taken = true // by nobody
	return true
}

// settled reports whether the call's group is written.
func (c *call) settled() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// writeGroup writes what waits once there is a connection. Until then whoever waits
// may still give up, the leader too.
func (c *Client) writeGroup(leader *call) {
	conn, noConn := c.connect(leader.ctx)
	if noConn != nil && leader.ctx.Err() != nil && c.groups.leave(leader) {
		leader.err = context.Cause(leader.ctx)
		close(leader.done)
		return
	}
	calls, g := c.groups.cut()
	err := noConn
	defer func() {
		for _, own := range calls {
			own.err = err
			close(own.done)
		}
	}()
	if err != nil {
		return
	}
	defer conn.Release()
	err = errors.New("writing a group has panicked")
	// None of those who wait can take back what the others want written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(leader.ctx), groupPatience)
	defer cancel()
	if err = g.write(ctx, c, conn); refused(err) {
		c.cfg.Logger.WarnContext(ctx, "each of a group is written by itself", "calls", len(calls), "error", err)
		err = nil // nothing was written, and the general way tells whose fault it is
		for _, own := range calls {
			own.ok = false
		}
	}
	if err == nil {
		c.notify(g.changed()...)
	}
}

// connect takes a connection for a group.
func (c *Client) connect(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, groupPatience)
	defer cancel()
	conn, err := c.cfg.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("acquire connection: %w", err)
	}
	return conn, nil
}

// cut takes what waits, the oldest calls first and not those that were given up.
func (g *groups) cut() (calls []*call, now *group) {
	now = new(group)
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.next) > 0 && len(calls) < maxGroup {
		first := g.next[0]
		g.next[0], g.next = nil, g.next[1:]
		if own := first.base(); !own.taken {
			own.taken = true
			calls = append(calls, own)
			first.join(now)
		}
	}
	return calls, now
}

// refused reports whether the server refused a statement, so that its transaction
// is rolled back.
func refused(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && !IsUnavailable(err) || errors.Is(err, errGroup)
}

// forGroup are the settings of a group's transaction. Its statements are over
// arrays: for short ones Postgres would plan anew each time, which takes longer
// than the work, and while the tables are small it would plan to read them whole
// and keep that plan when they have grown.
const forGroup = `SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
	set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('lock_timeout', '2s', true), set_config('idle_in_transaction_session_timeout', '10s', true)`

// write writes the group in one transaction. Without a decision in between that
// is one round trip.
func (g *group) write(ctx context.Context, c *Client, conn *pgxpool.Conn) error {
	var batch pgx.Batch
	if g.decides() {
		batch.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	}
	batch.Queue(forGroup)
	g.queue(c, &batch)
	sent := conn.SendBatch(ctx, &batch)
	tx := sent.Tx()
	if tx != nil {
		defer func() { _ = tx.Rollback(ctx) }() // after the commit it does nothing
	}
	if err := sent.Close(); err != nil {
		return fmt.Errorf("write group: %w", err)
	}
	if tx == nil {
		return nil
	}
	if err := g.decide(ctx, c, tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit group: %w", err)
	}
	return nil
}
