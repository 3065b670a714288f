package backup

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Watchers read events from the table; a notification only wakes them, and says
// which backups to look at. Postgres lets one transaction with notifications
// commit at a time, over the whole database. So ours are sent behind the commit, by
// a statement of their own that has nothing to write to disk, and what a process
// has changed since its last one is sent together. One that gets lost costs the
// watchers the time until they look by themselves.

const (
	// notifyEvery is how long a process collects before it notifies again. What
	// changes after a rest is sent at once.
	notifyEvery    = 20 * time.Millisecond
	notifyPatience = 5 * time.Second

	// maxNotified keeps a payload below the 8,000 bytes that Postgres takes. Beyond
	// it the payload is empty, which stands for any backup.
	maxNotified = 200
)

// channel is where notifications of this schema's events are sent. Its payload is
// the ids of the backups, with spaces between.
func (c *Client) channel() string { return c.cfg.Schema + ".backup_event" }

// notifier sends notifications for a Client. Its goroutine lives as long as there
// are any to send, and ends by itself: the pool, when it is closed, waits at most
// notifyPatience for it.
type notifier struct {
	mu   sync.Mutex
	ids  map[string]struct{}
	busy bool // the goroutine lives
}

// notify tells the watchers of all processes that these backups have new events,
// which are committed. It doesn't wait.
func (c *Client) notify(ids ...string) {
	if len(ids) == 0 {
		return
	}
	n := &c.notifier
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ids == nil {
		n.ids = make(map[string]struct{})
	}
	for _, id := range ids {
		if len(n.ids) <= maxNotified {
			n.ids[id] = struct{}{}
		}
	}
	if !n.busy {
		n.busy = true
		go n.run(c)
	}
}

func (n *notifier) run(c *Client) {
	for {
		payload, ok := n.take()
		if !ok {
			return
		}
		if err := sendNotification(c.cfg.Pool, c.channel(), payload); err != nil {
			c.cfg.Logger.Debug("watchers were not notified", "error", err)
		}
		<-time.After(notifyEvery)
	}
}

// take is the payload of what has changed; without any it ends the goroutine.
func (n *notifier) take() (payload string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ids) == 0 {
		n.busy = false
		return "", false
	}
	if len(n.ids) <= maxNotified {
		all := make([]string, 0, len(n.ids))
		for id := range n.ids {
			all = append(all, id)
		}
		payload = strings.Join(all, " ")
	}
	clear(n.ids)
	return payload, true
}

func sendNotification(pool *pgxpool.Pool, channel, payload string) error {
	ctx, cancel := context.WithTimeout(context.Background(), notifyPatience)
	defer cancel()
	_, err := pool.Exec(ctx, "SELECT pg_notify($1, $2)", channel, payload)
	return err
}

// ownTx is a transaction that the Client began and commits. It knows the backups
// that get events in it.
type ownTx struct {
	pgx.Tx
	changed []string
}

// notifyOn has the watchers notified of the backup's events when tx is committed.
// A caller's own transaction doesn't tell us when that is, so the notification is
// part of it, in the round trip that writes the events. What can be watched is
// changed in such a one by verbs that people call (CancelTx, RetryTx), whose River
// jobs send a notification in it anyway. A backup that is only now started is
// watched by nobody.
func (ch *change) notifyOn() {
	if own, ok := ch.tx.(*ownTx); ok {
		own.changed = append(own.changed, ch.b.ID)
		return
	}
	ch.last.Queue("SELECT pg_notify($1, $2)", ch.c.channel(), ch.b.ID)
}

// changed are the backups that got events in the group.
func (g *group) changed() (ids []string) {
	for _, v := range held(g.claims) {
		ids = append(ids, v.task.BackupID)
	}
	for _, v := range held(g.gates) {
		ids = append(ids, v.work.BackupID)
	}
	for _, v := range held(g.ends) {
		ids = append(ids, v.lease.BackupID)
	}
	for _, v := range held(g.plans) {
		ids = append(ids, v.lease.BackupID)
	}
	for _, v := range held(g.seals) {
		ids = append(ids, v.lease.BackupID)
	}
	return ids
}
