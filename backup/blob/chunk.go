package blob

import (
	"context"
	"errors"
	"fmt"
)

// checksumTries is how often a part is staged whose bytes change on their way.
const checksumTries = 3

// chunk is the bytes of one part on their way.
type chunk struct {
	index int
	data  []byte
	buf   *buffer
}

// send hands c to be hashed and, when it is its turn, staged. It takes over the
// buffer.
func (u *upload) send(ctx context.Context, c chunk, weight int64) error {
	c.buf.retain()
	u.chunks <- c // hashing never waits for anything
	if err := u.slots.Acquire(ctx, weight); err != nil {
		c.buf.release()
		return context.Cause(ctx)
	}
	u.work.Go(func() {
		defer u.slots.Release(weight)
		defer c.buf.release()
		u.stage(ctx, c)
	})
	return nil
}

// hash hashes all chunks in order.
func (u *upload) hash() {
	for c := range u.chunks {
		u.digest.Write(c.data)
		state, err := u.digest.State()
		c.buf.release()
		if err != nil {
			u.fail(fmt.Errorf("save hash: %w", err))
			continue
		}
		u.ledger.hashed(c.index, state)
	}
}

// stage stages one part.
func (u *upload) stage(ctx context.Context, c chunk) {
	part := Part{
		ID:    NewPartID(u.opts.UploadID, u.opts.Token, c.index),
		Size:  int64(len(c.data)),
		CRC64: u.crc(c.data),
	}
	err := ErrChecksum
	for try := 0; try < checksumTries && errors.Is(err, ErrChecksum); try++ {
		err = u.store.StagePart(ctx, u.key, part, c.data)
	}
	if err != nil {
		u.fail(&StoreError{Op: fmt.Sprintf("stage part %d", c.index), Err: err})
		return
	}
	u.ledger.staged(part)
}
