package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// checksumTries is how often a part is staged whose bytes change on their way.
const checksumTries = 3

// chunk is the bytes of one part on their way.
type chunk struct {
	index  int
	data   []byte
	crc    uint64
	buf    *buffer
	cursor string // behind data, if the source can go on there by a cursor
}

// chunks makes parts, from number index on, of the n bytes that were read into
// buf. As a rule it is one. If the source can go on only at a mark in their
// midst, there are two, so that the first is safe without the second; and if the
// source was cut, what is behind the mark is of no use. At the end of the stream,
// or of the numbers, there is no need for two. The caller holds buf for each.
func (u *upload) chunks(buf *buffer, index, n int, src *source, err error) []chunk {
	safe, cursor := src.marks.safe(src.received, n)
	cut := err != nil && err != io.EOF //nolint:errorlint // see pump
	switch {
	case cut && safe == 0:
		return nil
	case safe == n:
		return []chunk{{index, buf.data[:n], src.sum, buf, cursor}}
	case cut:
		return []chunk{u.chunk(index, buf, 0, safe, cursor)}
	case safe == 0 || err != nil || index+1 == MaxParts:
		return []chunk{{index, buf.data[:n], src.sum, buf, ""}}
	default:
		return []chunk{u.chunk(index, buf, 0, safe, cursor), u.chunk(index+1, buf, safe, n, "")}
	}
}

// chunk makes a part of some of the bytes that were read into buf.
func (u *upload) chunk(index int, buf *buffer, from, to int, cursor string) chunk {
	data := buf.data[from:to]
	return chunk{index, data, u.crc(0, data), buf, cursor}
}

// send hands c to be hashed and, when it is its turn, staged. Each holds the
// buffer for itself.
func (u *upload) send(ctx context.Context, c chunk, weight int64) error {
	c.buf.retain()
	u.hashing <- c // hashing never waits for anything
	if err := u.slots.Acquire(ctx, weight); err != nil {
		return context.Cause(ctx)
	}
	c.buf.retain()
	u.work.Go(func() {
		defer u.slots.Release(weight)
		defer c.buf.release()
		u.stage(ctx, c)
	})
	return nil
}

// hash hashes all chunks in order.
func (u *upload) hash() {
	for c := range u.hashing {
		u.digest.Write(c.data)
		state, err := u.digest.State()
		c.buf.release()
		if err != nil {
			u.fail(fmt.Errorf("save hash: %w", err))
			continue
		}
		u.ledger.hashed(c.index, state, c.cursor)
	}
}

// stage stages one part.
func (u *upload) stage(ctx context.Context, c chunk) {
	part := Part{
		ID:    NewPartID(u.opts.UploadID, u.opts.Token, c.index),
		Size:  int64(len(c.data)),
		CRC64: c.crc,
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
