package blob

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// journalGrace is how long Journal may go on after its upload has ended badly.
const journalGrace = 5 * time.Second

// journal calls UploadOptions.Journal from a goroutine of its own, so that a
// slow database doesn't slow the stream.
type journal struct {
	write    func(ctx context.Context, c *Checkpoint) error // nil: none
	ledger   *ledger
	bytes    int64 // how many are journaled at a time
	interval time.Duration
	marks    bool // only what ends at a mark is journaled

	ctx    context.Context // of the calls of write
	cancel context.CancelFunc

	parts  int   // how many parts write was given
	offset int64 // where they end
	err    error // that write has returned

	// room has space for one signal: what was behind is journaled.
	room chan struct{}
	safe atomic.Int64 // offset, for the goroutine that reads

	quit chan struct{}
	once sync.Once
	work sync.WaitGroup
}

// startJournal begins to journal what l has, of an upload that holds a window of
// bytes. upload is the upload's own context, and fail ends it.
func startJournal(upload context.Context, l *ledger, o *UploadOptions, window int64, fail func(error)) *journal {
	j := &journal{
		write: o.Journal, ledger: l, bytes: o.JournalBytes - min(o.JournalBytes, window)/2, interval: o.JournalInterval,
		marks: o.Cursor != nil, quit: make(chan struct{}), room: make(chan struct{}, 1),
	}
	j.parts, j.offset = l.length()
	j.safe.Store(j.offset)
	j.ctx, j.cancel = outlive(upload, journalGrace)
	if j.write != nil {
		j.work.Go(func() { j.run(fail) })
	}
	return j
}

func (j *journal) run(fail func(error)) {
	timer := time.NewTimer(j.interval)
	defer timer.Stop()
	due := false
	for {
		select {
		case <-j.quit:
			return
		case <-timer.C:
			due = true
		case <-j.ledger.changed:
		}
		parts, offset := j.ledger.length()
		if parts == j.parts || (!due && offset-j.offset < j.bytes) {
			continue
		}
		if err := j.save(); err != nil {
			fail(err)
			return
		}
		due = false
		timer.Reset(j.interval)
	}
}

// save gives the parts that are new to write.
func (j *journal) save() error {
	c := j.ledger.since(j.parts)
	if len(c.Parts) == 0 {
		return nil
	}
	if err := j.write(j.ctx, c); err != nil {
		j.err = fmt.Errorf("journal upload: %w", err)
		return j.err
	}
	j.parts += len(c.Parts)
	j.offset = c.Offset
	j.safe.Store(c.Offset)
	select {
	case j.room <- struct{}{}:
	default:
	}
	return nil
}

// wait waits until the stream may be read up to next: no more than a journal
// interval and half a window of buffers beyond what is journaled. So a slow database
// holds the stream up. A crash can take an interval and a window from the source;
// the other half is for what the source has sent and nobody has read yet, since
// that waits in the kernel: 20 MiB and more while a stream is held up. Once all
// that was read is staged, it is more than bytes, and is journaled at once: the
// wait ends.
//
// A source with a cursor may have no mark for longer than that, and nothing can be
// journaled before it: there, only what is staged up to a mark counts. Only the
// goroutine that reads calls it.
func (j *journal) wait(ctx context.Context, next, window int64) error {
	if j.write == nil {
		return nil
	}
	for {
		safe := j.safe.Load()
		ahead, most := next-safe, j.bytes+window
		if j.marks {
			_, staged := j.ledger.length()
			ahead, most = staged-safe, j.bytes-1
		}
		if ahead <= most {
			return nil
		}
		select {
		case <-j.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop waits for a call that runs and returns the error of write, if any.
func (j *journal) stop() error {
	j.once.Do(func() { close(j.quit) })
	j.work.Wait()
	return j.err
}

// flush writes what is new, after stop.
func (j *journal) flush() error {
	if j.write == nil {
		return nil
	}
	return j.save()
}

// outlive returns a context that ends grace after parent, or when cancel is
// called.
func outlive(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() {
		stop()
		cancel()
	}
}
