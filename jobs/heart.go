package jobs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/sitebackup/sitebackup/backup"
)

// heart renews the leases of a process, all in one statement. It beats only
// while there are any, so that nobody has to start or stop it.
type heart struct {
	ledger   *backup.Ledger
	interval time.Duration
	lease    time.Duration
	logger   *slog.Logger

	mu   sync.Mutex
	held map[uuid.UUID]*held
	run  *heartRun
}

// heartRun is the goroutine that beats.
type heartRun struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// held is one lease that is being renewed.
type held struct {
	backup.Lease
	received atomic.Int64
	speed    speed // under heart.mu
	cancel   context.CancelCauseFunc
	until    time.Time // the lease ends no earlier than this; under heart.mu
}

// last is what the worker knows of the lease when it ends.
func (l *held) last() backup.Beat {
	return backup.Beat{Lease: l.Lease, ReceivedBytes: l.received.Load()}
}

func newHeart(ledger *backup.Ledger, interval, lease time.Duration, logger *slog.Logger) *heart {
	return &heart{ledger: ledger, interval: interval, lease: lease, logger: logger, held: make(map[uuid.UUID]*held)}
}

// hold renews lease, which was claimed after claimedAt, until drop is called.
// The context ends with backup.ErrLeaseLost as its cause when the lease is lost,
// or couldn't be renewed and is about to end.
func (h *heart) hold(ctx context.Context, lease backup.Lease, claimedAt time.Time) (context.Context, *held) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &held{Lease: lease, cancel: cancel, until: claimedAt.Add(h.lease)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[lease.Token] = l
	if h.run == nil {
		bg, stop := context.WithCancel(context.WithoutCancel(ctx))
		h.run = &heartRun{cancel: stop, done: make(chan struct{})}
		go h.beat(bg, h.run.done)
	}
	return ctx, l
}

// drop ends the renewal. With the last lease the heart stops, and drop waits
// for that.
func (h *heart) drop(l *held) {
	l.cancel(nil)
	h.mu.Lock()
	delete(h.held, l.Token)
	var run *heartRun
	if len(h.held) == 0 {
		run, h.run = h.run, nil
	}
	h.mu.Unlock()
	if run != nil {
		run.cancel()
		<-run.done
	}
}

func (h *heart) beat(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(h.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.renew(ctx)
		}
	}
}

// renew renews all leases once, and ends the contexts of those that are lost or
// about to end.
func (h *heart) renew(ctx context.Context) {
	beats := h.beats()
	asked := now()
	rctx, cancel := context.WithTimeout(ctx, h.interval)
	alive, err := h.ledger.Renew(rctx, beats, h.lease)
	cancel()
	if err != nil && ctx.Err() == nil {
		h.logger.WarnContext(ctx, "renew leases", "leases", len(beats), "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range beats {
		l := h.held[b.Token]
		if l == nil {
			continue // dropped meanwhile
		}
		renewed, held := alive[b.Token]
		switch {
		case renewed:
			l.until = asked.Add(h.lease)
		case err == nil && !held, now().Add(h.margin()).After(l.until):
			l.cancel(backup.ErrLeaseLost)
		}
	}
}

// margin is how long before its lease ends a worker stops itself. The next look
// at a lease that couldn't be renewed may be two intervals away: a tick, and the
// time that its statement is given.
func (h *heart) margin() time.Duration { return 2*h.interval + h.interval/2 }

func (h *heart) beats() []backup.Beat {
	h.mu.Lock()
	defer h.mu.Unlock()
	beats := make([]backup.Beat, 0, len(h.held))
	at := now()
	for _, l := range h.held {
		b := l.last()
		b.Rate = l.speed.update(at, b.ReceivedBytes)
		beats = append(beats, b)
	}
	return beats
}
