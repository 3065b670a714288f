package jobs

import (
	"context"
	"time"
)

const (
	// enterPatience is how long a task waits for room in this process, before it
	// is left to others.
	enterPatience = 10 * time.Second

	// processFull is for how long.
	processFull = time.Second
)

// enter waits for room under Config.MaxTasks, first come, first served. It returns
// false when there is none for too long, or the process stops.
func (w *Workers) enter(ctx context.Context) bool {
	if w.tasks == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, enterPatience)
	defer cancel()
	return w.tasks.Acquire(ctx, 1) == nil
}

func (w *Workers) leave() {
	if w.tasks != nil {
		w.tasks.Release(1)
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
