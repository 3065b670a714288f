package blob

import (
	"context"
	"sync"
	"sync/atomic"
)

// claim is what one upload holds of the Buffers. It bounds the upload to its own
// window, whatever the budget.
type claim struct {
	pool  *Buffers
	freed chan struct{} // has room for one signal: a buffer came back

	mu   sync.Mutex
	held int64
}

// buffer is the memory of one part. It goes back when each of its holders has
// released it.
type buffer struct {
	data    []byte
	holders atomic.Int32
	claim   *claim
}

func (b *Buffers) claim() *claim {
	b.open()
	return &claim{pool: b, freed: make(chan struct{}, 1)}
}

// acquire waits until the upload holds no more than window bytes with the new
// buffer, or nothing without it, and the budget has room. Only one goroutine of
// an upload may call it. The buffer has one holder.
func (c *claim) acquire(ctx context.Context, size, window int64) (*buffer, error) {
	for !c.fits(size, window) {
		select {
		case <-c.freed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	data, err := c.pool.acquire(ctx, size)
	if err != nil {
		return nil, err
	}
	buf := &buffer{data: data, claim: c}
	buf.holders.Store(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held += size
	return buf, nil
}

func (c *claim) fits(size, window int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held == 0 || c.held+size <= window
}

// retain adds a holder.
func (b *buffer) retain() { b.holders.Add(1) }

// release removes a holder. Behind it, the holder must not touch data any more.
func (b *buffer) release() {
	if b.holders.Add(-1) > 0 {
		return
	}
	c := b.claim
	c.pool.release(b.data)
	c.mu.Lock()
	c.held -= int64(cap(b.data))
	c.mu.Unlock()
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// close ends the upload's use of the pool. All its buffers were released.
func (c *claim) close() { c.pool.close() }
