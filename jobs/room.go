package jobs

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// enterPatience is how long a task waits for room in this process at most,
	// before it is left to others. It is well below rescueAfter: a job that waits
	// has no lease yet, and River's rescuer would give it to somebody else.
	enterPatience = 10 * time.Second

	// processFull is for how long.
	processFull = time.Second
)

// room is how many tasks may run at once in this process. Those that wait for
// some get it by the priority of their River jobs, then in the order in which
// they came: who has few backups open doesn't wait behind what was fetched
// earlier for somebody with many.
type room struct {
	mu      sync.Mutex
	free    int
	waiting []*waiter // who is next comes first; none while some is free
}

type waiter struct {
	priority int // 1 goes first
	turn     chan struct{}
}

// enter returns false when ctx ends before there is room.
func (r *room) enter(ctx context.Context, priority int) bool {
	w := r.take(priority)
	if w == nil {
		return true
	}
	select {
	case <-w.turn:
		return true
	case <-ctx.Done():
		r.giveUp(w)
		return false
	}
}

// take takes what is free, and returns nil, or stands in the line.
func (r *room) take(priority int) *waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free > 0 {
		r.free--
		return nil
	}
	w := &waiter{priority: priority, turn: make(chan struct{})}
	i := slices.IndexFunc(r.waiting, func(o *waiter) bool { return o.priority > priority })
	if i < 0 {
		i = len(r.waiting)
	}
	r.waiting = slices.Insert(r.waiting, i, w)
	return w
}

func (r *room) giveUp(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.waiting, w); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
		return
	}
	r.give() // it has just been given some
}

func (r *room) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.give()
}

func (r *room) give() {
	if len(r.waiting) == 0 {
		r.free++
		return
	}
	close(r.waiting[0].turn)
	r.waiting = slices.Delete(r.waiting, 0, 1)
}

// enter waits for room under Config.MaxTasks. It returns false when there is none
// for too long, or the process stops.
func (w *Workers) enter(ctx context.Context, priority int) bool {
	if w.room == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	return w.room.enter(ctx, priority)
}

func (w *Workers) leave() {
	if w.room != nil {
		w.room.leave()
	}
}

// admitAtOnce bounds how many tasks that wait for room are let go when one has
// ended. More than one fit when it was the limit of its user that held them up.
const admitAtOnce = 8

// admit gives the room of a task that has ended to those that wait for it.
func (w *Workers) admit(ctx context.Context) {
	ctx, cancel := detached(ctx)
	defer cancel()
	if _, err := w.ledger.Admit(ctx, admitAtOnce); err != nil {
		// The reconciler does it within a minute.
		w.cfg.Logger.WarnContext(ctx, "admit tasks that wait", "error", err)
	}
}
