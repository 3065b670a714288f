package backup

import (
	"context"
	"sync"
)

// turns lets those who are about to lock the same backup's row in this process do
// so one after the other. Its tasks run side by side and reach their steps
// together. In Postgres each that waits holds a connection, is woken when the one
// before it commits, and evaluates its statement a second time. It is no part of
// what keeps the rows right: other processes, and callers' own transactions, take
// no turns.
type turns struct {
	mu sync.Mutex
	of map[string]*turn // by the backup's id; those that somebody has or waits for
}

type turn struct {
	free  chan struct{} // has an element when it is
	users int
}

// take waits for the turn. The function that it returns ends it.
func (t *turns) take(ctx context.Context, id string) (end func(), err error) {
	t.mu.Lock()
	if t.of == nil {
		t.of = make(map[string]*turn)
	}
	own := t.of[id]
	if own == nil {
		own = &turn{free: make(chan struct{}, 1)}
		own.free <- struct{}{}
		t.of[id] = own
	}
	own.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(t.of, id)
		}
	}
	select {
	case <-own.free:
		return func() {
			own.free <- struct{}{}
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
