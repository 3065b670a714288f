package backup

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// The ways in which a Subscription ends.
var (
	// ErrSlowReader means that a reader was dropped, since it left too many events
	// unread. None is lost: a new Subscription goes on behind the last one it got.
	ErrSlowReader = errors.New("the reader was too slow and is dropped")

	// ErrWatcherStopped means that the Watcher has stopped.
	ErrWatcherStopped = errors.New("the watcher has stopped")
)

// WatcherConfig are the optional settings of a Watcher. Nil is the same as the
// zero value.
type WatcherConfig struct {
	// PollInterval is how often the Watcher looks whether there are events that
	// nobody told it of: one query for each 128 backups that are watched. It bounds
	// how late events come while notifications are lost. Defaults to 3 seconds.
	PollInterval time.Duration

	// MaxUnread is how many events a reader that has caught up may leave unread
	// before it is dropped; at least 64. Defaults to 1,000.
	MaxUnread int
}

// Watcher tells readers of the events of backups as they are written, by whatever
// process. It reads each event once, however many readers it has, and holds those
// that a reader hasn't taken yet.
//
// The events come from their table, so that a reader can begin at any of them.
// Postgres's notifications only say when to look: Run keeps one connection of its
// own, taken from the pool, for them. Where they are lost, as behind a pooler that
// hands connections on, or while that connection is made anew, the Watcher looks by
// itself every PollInterval.
//
// Without Run the readers look by themselves, each of them every PollInterval.
//
// Its methods may be called by many goroutines at once.
type Watcher struct {
	c         *Client
	poll      time.Duration
	silence   time.Duration // that the connection may keep before it is asked whether it lives
	maxUnread int

	wake    chan struct{} // has an element when a feed may be dirty
	replays chan struct{} // has an element for each Subscription that reads by itself

	mu      sync.Mutex
	running bool
	feeds   map[string]*feed
	stopped chan struct{} // closed when Run returns
}

// maxReplays bounds how many connections of the pool readers take that begin: a
// thousand may come at once when another server has stopped.
const maxReplays = 4

// NewWatcher makes a Watcher. It doesn't connect.
func (c *Client) NewWatcher(cfg *WatcherConfig) (*Watcher, error) {
	if cfg == nil {
		cfg = &WatcherConfig{}
	}
	w := &Watcher{
		c: c, poll: cmp.Or(cfg.PollInterval, 3*time.Second), maxUnread: cmp.Or(cfg.MaxUnread, 1000), silence: silence,
		wake: make(chan struct{}, 1), replays: make(chan struct{}, maxReplays), feeds: make(map[string]*feed), stopped: make(chan struct{}),
	}
	switch {
	case w.poll < 10*time.Millisecond:
		return nil, errors.New("PollInterval must be at least 10 milliseconds")
	case w.maxUnread < pageEvents: // that many come at once
		return nil, errors.New("MaxUnread must be at least 64")
	}
	return w, nil
}

// Run reads events for the readers until ctx ends, and returns nil then. While the
// database is away it tries again and again. All Subscriptions have ended when it
// returns, and its connection is closed. It may be called once.
func (w *Watcher) Run(ctx context.Context) error {
	if w.c.cfg.Pool == nil {
		return errNoPool
	}
	if !w.begin() {
		return errors.New("the watcher was run before")
	}
	defer close(w.stopped)
	var listening sync.WaitGroup
	listening.Go(func() { w.listen(ctx) })
	defer listening.Wait()

	tick := time.NewTicker(w.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.look("")
		case <-w.wake:
		}
		if err := w.readDirty(ctx); err != nil && ctx.Err() == nil {
			w.c.cfg.Logger.WarnContext(ctx, "events can't be read", slog.Any("error", err))
			pause(ctx, w.poll)
			w.look("")
		}
	}
}

func (w *Watcher) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		return false
	}
	w.running = true
	return true
}

func (w *Watcher) isRunning() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}

// Done is closed when the Watcher has stopped.
func (w *Watcher) Done() <-chan struct{} { return w.stopped }

// look has the backups in a notification's payload read; an empty one is all.
func (w *Watcher) look(payload string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if payload == "" {
		for _, f := range w.feeds {
			f.dirty = true
		}
	}
	for id := range strings.SplitSeq(payload, " ") {
		if f := w.feeds[id]; f != nil {
			f.dirty = true
		}
	}
	w.wakeUp()
}

func (w *Watcher) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// pause reports whether ctx has not ended in d.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
