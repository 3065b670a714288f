package blob_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

// Parts that are staged behind one that isn't are not safe.
func TestJournalHasNoGap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := blobtest.NewFaulty(newMemStore())
		gate := f.Block(blobtest.OpStagePart, 1)
		o := small()
		r := record(t, o)
		done := make(chan error, 1)
		go func() {
			_, err := blob.Stage(t.Context(), f, key, &pattern{size: 50 * part}, o)
			done <- err
		}()
		synctest.Wait()
		require.Greater(t, f.Calls(blobtest.OpStagePart), 4, "the others must go on")
		blocked := r.last()
		gate.Release()
		require.NoError(t, <-done)
		if blocked != nil {
			require.Less(t, len(blocked.Parts), 5)
		}
		require.NotNil(t, r.last())
	})
}

func TestJournalByBytes(t *testing.T) {
	t.Parallel()
	o := small()
	r := record(t, o)
	o.JournalBytes = 5 * part
	o.JournalInterval = time.Hour
	_, err := blob.Stage(t.Context(), newMemStore(), key, &pattern{size: 100 * part}, o)
	require.NoError(t, err)
	require.NotEmpty(t, r.saved)
	last := int64(0)
	for _, c := range r.saved {
		require.GreaterOrEqual(t, c.Offset-last, int64(5*part-5*part/2), "an interval less half of the buffers of 4 + 1 parts")
		last = c.Offset
	}
}

func TestJournalByTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := small()
		start := time.Now()
		var at []time.Duration
		r := record(t, o)
		o.Journal = func(ctx context.Context, c *blob.Checkpoint) error {
			at = append(at, time.Since(start))
			return r.journal(ctx, c)
		}
		o.JournalBytes = 1 << 40
		o.JournalInterval = 2 * time.Second
		// A part every 1.5 seconds, and one only after a minute.
		body := &trickle{script: script{data: patternBytes(4 * part), step: part, err: io.EOF}, pause: 1500 * time.Millisecond}
		_, err := blob.Stage(t.Context(), newMemStore(), key, body, o)
		require.NoError(t, err)
		require.Equal(t, []time.Duration{2 * time.Second, 4 * time.Second, 6 * time.Second}, at)
	})
}

// When the interval has passed with nothing new, the next part is journaled as
// soon as it is safe.
func TestJournalAfterAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := small()
		start := time.Now()
		var at []time.Duration
		o.Journal = func(context.Context, *blob.Checkpoint) error {
			at = append(at, time.Since(start))
			return nil
		}
		body := &trickle{script: script{data: patternBytes(2 * part), step: part, err: io.EOF}, pause: time.Minute}
		_, err := blob.Stage(t.Context(), newMemStore(), key, body, o)
		require.NoError(t, err)
		require.Equal(t, []time.Duration{time.Minute, 2 * time.Minute}, at)
	})
}

func TestSlowJournalHoldsUpNothingForAnInterval(t *testing.T) {
	t.Parallel()
	o := small()
	f := blobtest.NewFaulty(newMemStore())
	release := make(chan struct{})
	o.JournalBytes, o.JournalInterval = 250*part, time.Nanosecond
	calls := 0
	o.Journal = func(context.Context, *blob.Checkpoint) error {
		calls++
		<-release
		return nil
	}
	last := f.Block(blobtest.OpStagePart, 200)
	go func() {
		<-last.Entered() // all others were staged, or are being
		last.Release()
		close(release)
	}()
	c, err := blob.Stage(t.Context(), f, key, &pattern{size: 200 * part}, o)
	require.NoError(t, err)
	require.Len(t, c.Parts, 200)
	require.LessOrEqual(t, calls, 10, "one call must carry what piled up")
}

// What isn't journaled never exceeds an interval and a window of buffers: reading
// waits for a journal that hangs.
func TestSlowJournalBoundsWhatACrashTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := small()
		release := make(chan struct{})
		o.JournalBytes, o.JournalInterval = 10*part, time.Hour
		var received atomic.Int64
		o.Progress = received.Store
		o.Journal = func(context.Context, *blob.Checkpoint) error {
			<-release
			return nil
		}
		done := make(chan error, 1)
		go func() {
			_, err := blob.Stage(t.Context(), newMemStore(), key, &pattern{size: 200 * part}, o)
			done <- err
		}()
		synctest.Wait()
		require.GreaterOrEqual(t, received.Load(), int64(10*part))
		stopped := received.Load()
		close(release)
		require.NoError(t, <-done)
		require.LessOrEqual(t, stopped, int64(10*part+5*part/2), "an interval, and half of the buffers of 4 + 1 parts")
		require.EqualValues(t, 200*part, received.Load())
	})
}

// A part that takes long doesn't let those behind it run ahead of the bound.
func TestSlowPartBoundsWhatACrashTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.JournalBytes, o.JournalInterval = 10*part, time.Hour
		var received atomic.Int64
		o.Progress = received.Store
		o.Journal = func(context.Context, *blob.Checkpoint) error { return nil }
		f := blobtest.NewFaulty(newMemStore())
		slow := f.Block(blobtest.OpStagePart, 3)
		done := make(chan error, 1)
		go func() {
			_, err := blob.Stage(t.Context(), f, key, &pattern{size: 200 * part}, o)
			done <- err
		}()
		synctest.Wait()
		stopped := received.Load()
		slow.Release()
		require.NoError(t, <-done)
		require.LessOrEqual(t, stopped, int64(10*part+5*part/2))
		require.EqualValues(t, 200*part, received.Load())
	})
}

func TestJournalErrorEndsTheUpload(t *testing.T) {
	t.Parallel()
	lost := errors.New("lease lost")
	o := small()
	o.JournalBytes = 1
	calls := 0
	o.Journal = func(context.Context, *blob.Checkpoint) error {
		calls++
		return lost
	}
	body := newHang(patternBytes(10*part + 1))
	_, err := blob.Stage(t.Context(), newMemStore(), key, body, o)
	require.ErrorIs(t, err, lost)
	require.Equal(t, 1, calls, "a journal that has failed must not be written to again")
}

// All that is safe is journaled when a stream ends in an error, with a context
// that is alive.
func TestJournalOnCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		body := newHang(patternBytes(3*part + 100))
		o := small()
		r := record(t, o)
		o.JournalBytes, o.JournalInterval = 1<<40, time.Hour
		done := make(chan error, 1)
		go func() {
			_, err := blob.Stage(ctx, newMemStore(), key, body, o)
			done <- err
		}()
		synctest.Wait() // three parts are staged, the rest is being read
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.Len(t, r.saved, 1)
		require.EqualValues(t, 3*part, r.last().Offset)
	})
}

// A database that hangs holds up the end of an upload for 5 seconds, not more.
func TestJournalHasAGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, early := range []bool{false, true} {
			o := small()
			o.JournalBytes, o.JournalInterval = 1<<40, time.Hour
			if early {
				o.JournalInterval = time.Nanosecond // a call hangs already
			}
			var ended error
			o.Journal = func(ctx context.Context, _ *blob.Checkpoint) error {
				<-ctx.Done()
				ended = ctx.Err()
				return ended
			}
			start := time.Now()
			body := &trickle{script: script{data: patternBytes(2 * part), step: part, err: io.ErrUnexpectedEOF}, pause: time.Second}
			_, err := blob.Stage(t.Context(), newMemStore(), key, body, o)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorIs(t, ended, context.Canceled)
			require.Equal(t, 3*time.Second+5*time.Second, time.Since(start))
		}
	})
}

// The same when everything is staged, a call hangs, and then the upload is
// canceled.
func TestJournalThatHangsAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.JournalBytes = 1
		o.Journal = func(ctx context.Context, _ *blob.Checkpoint) error {
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := blob.Stage(ctx, newMemStore(), key, &pattern{size: part}, o)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, time.Minute+5*time.Second, time.Since(start))
	})
}

func TestNoJournalAfterAWholeStream(t *testing.T) {
	t.Parallel()
	o := small()
	r := record(t, o)
	o.JournalBytes, o.JournalInterval = 1<<40, time.Hour
	_, err := blob.Stage(t.Context(), newMemStore(), key, &pattern{size: 10 * part}, o)
	require.NoError(t, err)
	require.Empty(t, r.saved)
}
