package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Stage reads body to its end and stages it as the parts of the object key.
// Nothing becomes visible; Commit does that. It closes body in every case, at
// once when it has no more use for it, and returns when everything it started
// has ended. Closing body must make a Read of it return.
//
// Its errors are a SourceError when body could not be read to its end, a
// StoreError when a part could not be staged, a LimitError, ErrTooManyParts,
// what Journal returned, and the cause of ctx's end. Staging that fails, and
// ctx's end, stop the reading at once. After an error of the source what was
// received is staged still, and what is safe is journaled before Stage returns.
func Stage(ctx context.Context, store Store, key string, body io.ReadCloser, opts *UploadOptions) (*Content, error) {
	u, err := newUpload(store, key, opts)
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	return u.run(ctx, body)
}

// upload is one run of Stage.
type upload struct {
	store   Store
	key     string
	opts    *UploadOptions
	sched   schedule
	claim   *claim
	journal *journal
	ledger  *ledger
	digest  digest // only the hashing goroutine uses it until work has ended
	crc     func(sum uint64, data []byte) uint64

	slots   *semaphore.Weighted // of schedule.weight
	hashing chan chunk          // to be hashed, in order
	work    sync.WaitGroup      // hashing and staging
	fail    context.CancelCauseFunc
}

func newUpload(store Store, key string, opts *UploadOptions) (*upload, error) {
	if err := ValidateKey(key); err != nil {
		return nil, fmt.Errorf("stage object: %w", err)
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("stage object: %w", err)
	}
	if o.MaxSize > 0 && o.Resume.Offset > o.MaxSize {
		return nil, &LimitError{Limit: o.MaxSize, Received: o.Resume.Offset}
	}
	d, err := newSHA256(o.Resume.SHA256)
	if err != nil {
		return nil, fmt.Errorf("stage object: %w", err)
	}
	u := &upload{
		store: store, key: key, opts: o, digest: d, crc: addChecksum,
		ledger:  newLedger(o.Resume, o.Cursor != nil),
		hashing: make(chan chunk, o.Concurrency),
	}
	u.setSchedule(schedule{o.PartSize, o.Concurrency})
	return u, nil
}

func (u *upload) setSchedule(s schedule) {
	u.sched = s
	u.slots = semaphore.NewWeighted(s.slots())
}

// run reads body on the caller's goroutine, so that a panic of it is the
// caller's. The deferred calls are for that; else they find nothing to do.
func (u *upload) run(parent context.Context, body io.ReadCloser) (*Content, error) {
	ctx, cancel := context.WithCancelCause(parent)
	u.fail = cancel
	u.claim = u.opts.Buffers.claim()
	defer u.claim.close()
	j := startJournal(ctx, u.ledger, u.opts, u.sched.window(u.sched.first), u.fail)
	u.journal = j
	defer j.cancel()
	defer j.stop() //nolint:errcheck // after a panic only
	src := newSource(ctx, body, u.opts.Resume.Offset, u.opts, u.crc)
	u.work.Go(u.hash)
	settle := sync.OnceFunc(func() {
		src.close()
		close(u.hashing)
		u.work.Wait()
	})
	defer settle()
	defer cancel(nil)

	err := u.pump(ctx, src)
	settle()
	if src.panicked != nil {
		panic(src.panicked)
	}
	return u.finish(ctx, j, src.received, err)
}

// finish is called when all parts have settled, and err is why reading ended.
func (u *upload) finish(ctx context.Context, j *journal, received int64, err error) (*Content, error) {
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		u.fail(err)
	}
	lost := j.stop()
	switch {
	case err == nil:
		err, lost = lost, nil
	case lost == nil:
		lost = j.flush()
	case errors.Is(err, lost):
		lost = nil
	}
	if lost != nil {
		err = fmt.Errorf("%w; what was staged since is lost: %w", err, lost)
	}
	if err != nil {
		return nil, err
	}
	parts, size := u.ledger.all()
	if size != received {
		// The digest is of the parts, so that nothing else would show it.
		return nil, fmt.Errorf("stage object: received %d bytes and staged %d: this is a bug", received, size)
	}
	return &Content{Parts: parts, Size: size, SHA256: u.digest.Sum()}, nil
}

// pump reads parts and sends them on their way, until the stream ends.
func (u *upload) pump(ctx context.Context, src *source) error {
	for index := len(u.opts.Resume.Parts); ; {
		sent, err := u.part(ctx, src, index)
		index += sent
		if err == io.EOF { //nolint:errorlint // source.fill's own, never wrapped
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// part reads the part index and sends it on its way. It returns how many parts
// it made of it.
func (u *upload) part(ctx context.Context, src *source, index int) (int, error) {
	if index >= MaxParts {
		return 0, expectEnd(src)
	}
	size := u.sched.size(index)
	window := u.sched.window(size)
	if err := u.journal.wait(ctx, src.received+size, window); err != nil {
		return 0, err
	}
	buf, err := u.claim.acquire(ctx, size, window)
	if err != nil {
		return 0, err
	}
	defer buf.release()
	n, err := src.fill(buf.data[:size])
	// What a source gave before its error is worth keeping: the next attempt of
	// one that is always cut off would else never come further.
	var broken *SourceError
	cut := errors.As(err, &broken)
	if n == 0 || (err != nil && err != io.EOF && !cut) { //nolint:errorlint // see pump
		return 0, err
	}
	all := u.chunks(buf, index, n, src, err)
	for _, c := range all {
		if sent := u.send(ctx, c, u.sched.weight(size)); sent != nil && !cut {
			return 0, sent
		}
	}
	return len(all), err
}

// expectEnd fails if the stream goes on.
func expectEnd(src *source) error {
	n, err := src.fill(make([]byte, 1))
	if n > 0 {
		return ErrTooManyParts
	}
	return err
}
