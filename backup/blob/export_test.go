package blob

import (
	"context"
	"io"
)

// StageSized is Stage with first parts of any size.
func StageSized(ctx context.Context, store Store, key string, body io.ReadCloser, opts *UploadOptions, first int64) (*Content, error) {
	u, err := newUpload(store, key, opts)
	if err != nil {
		return nil, err
	}
	u.setSchedule(schedule{first, u.opts.Concurrency})
	return u.run(ctx, body)
}

// StageUnhashed is Stage without any hashing: what hashing costs is measured
// against it.
func StageUnhashed(ctx context.Context, store Store, key string, body io.ReadCloser, opts *UploadOptions) (*Content, error) {
	u, err := newUpload(store, key, opts)
	if err != nil {
		return nil, err
	}
	u.digest = noDigest{}
	u.crc = func(uint64, []byte) uint64 { return 0 }
	return u.run(ctx, body)
}

type noDigest struct{}

func (noDigest) Write([]byte)           {}
func (noDigest) State() ([]byte, error) { return []byte{}, nil }
func (noDigest) Sum() [32]byte          { return [32]byte{} }

// PartSize, Window and Staging describe the schedule at a part's index: its size,
// the bytes of buffers the upload may hold, and how many such parts are staged
// at once.
func PartSize(first int64, concurrency, index int) int64 {
	return schedule{first, concurrency}.size(index)
}

func Window(first int64, concurrency, index int) int64 {
	s := schedule{first, concurrency}
	return s.window(s.size(index))
}

func Staging(first int64, concurrency, index int) int {
	s := schedule{first, concurrency}
	return int(s.slots() / s.weight(s.size(index)))
}

// Acquire and Release use the pool as an upload of its own does.
func (b *Buffers) Acquire(ctx context.Context, size int64) (release func(), err error) {
	c := b.claim()
	buf, err := c.acquire(ctx, size, size)
	if err != nil {
		c.close()
		return nil, err
	}
	return func() {
		buf.release()
		c.close()
	}, nil
}
