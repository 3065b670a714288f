package blob

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Buffers is the memory for parts that all uploads of a process share: a budget
// in bytes and a pool. Uploads that find the budget used up wait for their turn,
// first come, first served. They can't block each other for good: an upload asks
// for one buffer at a time, and gives back the ones it has without needing
// another.
//
// While uploads run, memory that was released is reused; when the last one ends,
// all of it goes back to the system.
type Buffers struct {
	budget int64

	mu     sync.Mutex
	claims int // uploads under way
	inUse  int64
	idle   int64
	peak   int64
	free   map[int64][][]byte
	queue  []*waiter
}

// BufferStats says how much memory Buffers hold, in bytes.
type BufferStats struct {
	Budget  int64 // 0: no limit
	InUse   int64
	Idle    int64 // released and kept for reuse
	Peak    int64 // the most that was held, in use and idle
	Waiting int   // uploads that wait for memory
}

// waiter is an upload that waits for a buffer. ready is closed when data or err
// is set.
type waiter struct {
	size  int64
	ready chan struct{}
	data  []byte
	err   error
}

// NewBuffers makes a pool of at most budgetBytes; 0 sets no limit. A budget
// should hold at least two parts for each upload that runs at once. A part that
// is larger than the whole budget is handled alone.
func NewBuffers(budgetBytes int64) *Buffers {
	return &Buffers{budget: max(budgetBytes, 0), free: make(map[int64][][]byte)}
}

// Stats returns what the pool holds now.
func (b *Buffers) Stats() BufferStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BufferStats{Budget: b.budget, InUse: b.inUse, Idle: b.idle, Peak: b.peak, Waiting: len(b.queue)}
}

// acquire waits for its turn, and until the budget has room for size bytes.
func (b *Buffers) acquire(ctx context.Context, size int64) ([]byte, error) {
	w := &waiter{size: size, ready: make(chan struct{})}
	b.mu.Lock()
	b.queue = append(b.queue, w)
	b.admit()
	b.mu.Unlock()

	select {
	case <-w.ready:
		return w.data, w.err
	case <-ctx.Done():
		b.leave(w)
		return nil, context.Cause(ctx)
	}
}

// leave takes a waiter out of the queue, or its buffer back if it has just got
// one.
func (b *Buffers) leave(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, w); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	} else if w.err == nil {
		b.put(w.data)
	}
	b.admit()
}

// admit serves the waiters at the head of the queue that fit.
func (b *Buffers) admit() {
	for len(b.queue) > 0 {
		w := b.queue[0]
		if b.budget > 0 && b.inUse > 0 && b.inUse+w.size > b.budget {
			return
		}
		b.queue = slices.Delete(b.queue, 0, 1)
		if w.data, w.err = b.take(w.size); w.err != nil {
			w.err = fmt.Errorf("allocate buffer of %d bytes: %w", w.size, w.err)
		}
		close(w.ready)
	}
}

// take returns an idle buffer of size bytes or a new one. Before it makes a new
// one it drops idle ones of other sizes that are as large together, so that
// never more memory is held than was in use at once.
func (b *Buffers) take(size int64) ([]byte, error) {
	if list := b.free[size]; len(list) > 0 {
		p := list[len(list)-1]
		b.free[size] = list[:len(list)-1]
		b.idle -= size
		b.inUse += size
		return p, nil
	}
	b.drop(size)
	p, err := newPages(size)
	if err != nil {
		return nil, err
	}
	b.inUse += size
	b.peak = max(b.peak, b.inUse+b.idle)
	return p, nil
}

// drop gives idle buffers back to the system, want bytes or all there are.
func (b *Buffers) drop(want int64) {
	for size, list := range b.free {
		for len(list) > 0 && want > 0 {
			freePages(list[len(list)-1])
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			b.idle -= size
			want -= size
		}
		if b.free[size] = list; len(list) == 0 {
			delete(b.free, size)
		}
	}
}

// release takes back a buffer that acquire returned.
func (b *Buffers) release(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(p)
	b.admit()
}

func (b *Buffers) put(p []byte) {
	size := int64(cap(p))
	b.inUse -= size
	b.idle += size
	b.free[size] = append(b.free[size], p[:size])
}

// open begins an upload, close ends it.
func (b *Buffers) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims++
}

func (b *Buffers) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claims--; b.claims == 0 {
		b.drop(b.idle)
	}
}
