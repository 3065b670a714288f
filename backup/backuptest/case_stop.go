package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

// checkCanceled: what is asked for or read under a context that has ended comes
// to an end soon, one way or the other.
func checkCanceled(ctx context.Context, b *bench) error {
	first, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	if err := b.canceledBefore(ctx); err != nil {
		return fmt.Errorf("canceled before Export: %w", err)
	}
	for _, n := range []int64{0, 1000} {
		if err := b.canceledBehind(ctx, n, first.size); err != nil {
			return fmt.Errorf("canceled after %d bytes: %w", n, err)
		}
	}
	return nil
}

// canceledBefore asks for an export under a context that has ended. A provider
// that has it at hand may give it all the same.
func (b *bench) canceledBefore(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return within(b.Soon, "Export", func() error {
		ex, err := b.export(ctx, b.Request)
		if err != nil {
			return nil //nolint:nilerr // as it should
		}
		return b.close(ex)
	})
}

// canceledBehind cancels an export when n of its bytes were read. Size is how
// long it was before.
func (b *bench) canceledBehind(ctx context.Context, n, size int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ex, err := b.export(ctx, b.Request)
	if err != nil {
		return err
	}
	read, err := io.CopyN(io.Discard, ex.Body, n)
	if err != nil && err != io.EOF { //nolint:errorlint // the end itself
		return errors.Join(fmt.Errorf("Read: %w", err), b.close(ex))
	}
	cancel()
	err = within(b.Soon, "the body", func() error {
		rest, err := b.read(ex.Body, io.Discard)
		if given := new(bodyError); errors.As(err, &given) {
			return nil
		}
		if err == nil && b.Deterministic && read+rest != size {
			return fmt.Errorf("Read returned io.EOF after %d of %d bytes: that is only for the source's end", read+rest, size)
		}
		return err
	})
	return errors.Join(err, b.close(ex))
}

// rounds is how often something is done that must leave nothing behind: a
// connection that is kept for the next export is no leak, one for each is.
const rounds = 16

// checkCloseEarly: a body that is closed before its end leaves no goroutine
// behind, though its context lives on.
func checkCloseEarly(ctx context.Context, b *bench) error {
	return leavesNone(ctx, rounds, b.Soon, func(ctx context.Context) error {
		for i := range int64(rounds) {
			ex, err := b.export(ctx, b.Request)
			if err != nil {
				return err
			}
			if _, err := io.CopyN(io.Discard, ex.Body, i%3*100); err != nil && err != io.EOF { //nolint:errorlint // the end itself
				return errors.Join(fmt.Errorf("Read: %w", err), b.close(ex))
			}
			if err := b.close(ex); err != nil {
				return err
			}
		}
		return nil
	})
}

// waiting is the export of Options.Stalled, with a goroutine in its Read.
type waiting struct {
	export chan *backup.Export // what Export returned
	came   chan struct{}       // something arrived
	ended  chan error          // why the reading ended; nil: io.EOF
}

// Write notes that something arrived.
func (w *waiting) Write(p []byte) (int, error) {
	select {
	case w.came <- struct{}{}:
	default:
	}
	return len(p), nil
}

// wait reads the export of Options.Stalled until nothing more comes. It returns
// a nil export where that is so before Export has returned.
func (b *bench) wait(ctx context.Context) (*waiting, *backup.Export, error) {
	w := &waiting{make(chan *backup.Export, 1), make(chan struct{}, 1), make(chan error, 1)}
	go func() { w.ended <- b.readStalled(ctx, w) }()
	var ex *backup.Export
	quiet := time.NewTimer(b.Soon)
	defer quiet.Stop()
	for {
		select {
		case ex = <-w.export:
			quiet.Reset(b.Quiet)
		case <-w.came:
			quiet.Reset(b.Quiet)
		case err := <-w.ended:
			return nil, nil, errors.Join(errors.New("the export of Options.Stalled doesn't stall, it has ended"), err)
		case <-quiet.C:
			return w, ex, nil
		}
	}
}

func (b *bench) readStalled(ctx context.Context, w *waiting) error {
	ex, err := b.export(ctx, *b.Stalled)
	if err != nil {
		return err
	}
	w.export <- ex
	_, err = b.read(ex.Body, w)
	return err
}

// over checks that the reading ends soon after what was done, and not as if the
// source had ended.
func (b *bench) over(w *waiting, done string) error {
	return within(b.Soon, "a Read that waits, after "+done, func() error {
		err := <-w.ended
		if err == nil {
			return fmt.Errorf("Read returned io.EOF after %s: that is only for the source's end", done)
		}
		return nil
	})
}

// checkCancelEndsRead: a Read that waits for its source returns when the context
// is canceled.
func checkCancelEndsRead(ctx context.Context, b *bench) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, ex, err := b.wait(ctx)
	if err != nil {
		return err
	}
	cancel()
	err = b.over(w, "a cancel")
	if ex != nil {
		err = errors.Join(err, b.close(ex))
	}
	return err
}

// checkCloseEndsRead: a Read that waits for its source returns when the body is
// closed. That is how the engine ends a source that has stalled.
func checkCloseEndsRead(ctx context.Context, b *bench) error {
	w, ex, err := b.wait(ctx)
	if err != nil {
		return err
	}
	if ex == nil {
		return fmt.Errorf("Export of Options.Stalled: %w within %s, so that there was nothing to close", errHangs, b.Soon)
	}
	return errors.Join(b.close(ex), b.over(w, "Close"))
}
