package blob_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

var errDisk = errors.New("disk on fire")

// A source without end must not be read on when staging has failed.
func TestStageFailureStopsReading(t *testing.T) {
	t.Parallel()
	f := blobtest.NewFaulty(newMemStore())
	f.Fail(blobtest.OpStagePart, 3, errDisk)
	o := small()
	r := record(t, o)
	body := &pattern{size: math.MaxInt64}
	_, err := blob.Stage(t.Context(), f, key, body, o)
	var store *blob.StoreError
	require.ErrorAs(t, err, &store)
	require.ErrorIs(t, err, errDisk)
	require.Regexp(t, `^stage part \d+$`, store.Op)
	require.EqualValues(t, 1, body.closed.Load())
	// The others go on until the failure is seen, which is no matter of parts.
	require.Less(t, body.at, int64(1000*part))
	requireResumes(t, f, r.last(), patternBytes(1200*part))
}

// While the store hangs, no more is read than there are buffers for.
func TestStageFailureWhileReadingWaits(t *testing.T) {
	t.Parallel()
	for _, closed := range []error{io.EOF, io.ErrClosedPipe} {
		f := blobtest.NewFaulty(newMemStore())
		gate := f.Block(blobtest.OpStagePart, 1)
		f.Fail(blobtest.OpStagePart, 2, errDisk)
		body := newHang(patternBytes(2*part + 100))
		body.err = closed
		_, err := blob.Stage(t.Context(), f, key, body, small())
		<-gate.Entered()
		require.ErrorIs(t, err, errDisk, "the hanging body must be closed, and what it says then means nothing")
		var source *blob.SourceError
		require.NotErrorAs(t, err, &source)
	}
}

func TestSlowStoreHoldsUpTheSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := blobtest.NewFaulty(newMemStore())
		var gates []*blobtest.Gate
		for i := range 3 {
			gates = append(gates, f.Block(blobtest.OpStagePart, i+1))
		}
		o := small()
		o.Concurrency = 3
		body := &pattern{size: 20 * part}
		done := make(chan error, 1)
		go func() {
			_, err := blob.Stage(t.Context(), f, key, body, o)
			done <- err
		}()
		synctest.Wait() // all goroutines wait for the gates
		require.EqualValues(t, 4*part, body.at, "three parts are staged and one is read ahead")
		for _, g := range gates {
			g.Release()
		}
		require.NoError(t, <-done)
	})
}

// The error of the source is the one that is reported, even if the store fails
// while the rest is staged.
func TestFirstErrorWins(t *testing.T) {
	t.Parallel()
	f := blobtest.NewFaulty(newMemStore())
	gate := f.Block(blobtest.OpStagePart, 1)
	f.Fail(blobtest.OpStagePart, 1, errDisk)
	body := &script{data: patternBytes(100), err: io.ErrUnexpectedEOF}
	go func() {
		<-gate.Entered()
		gate.Release()
	}()
	_, err := blob.Stage(t.Context(), f, key, body, small())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, err, errDisk)
}

func TestStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.StallTimeout = time.Minute
		r := record(t, o)
		start := time.Now()
		_, err := blob.Stage(t.Context(), newMemStore(), key, newHang(patternBytes(part+7)), o)
		require.ErrorIs(t, err, blob.ErrStalled)
		var source *blob.SourceError
		require.ErrorAs(t, err, &source)
		require.EqualValues(t, part+7, source.Offset)
		require.EqualValues(t, part+7, r.last().Offset)
		require.Equal(t, time.Minute, time.Since(start))
	})
}

// closePanics is a body that waits until it is closed, and panics then.
type closePanics struct{ *hang }

func (c closePanics) Close() error {
	_ = c.hang.Close()
	panic("a bug of the provider")
}

// A body that panics when it is closed, by a timer or since the context has ended,
// panics where Stage was called and not on a goroutine of its own, which would end
// the process; and leaves nothing running.
func TestPanicOfClose(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*blob.UploadOptions, context.CancelFunc){
		"stall":  func(o *blob.UploadOptions, _ context.CancelFunc) { o.StallTimeout = time.Minute },
		"cancel": func(_ *blob.UploadOptions, cancel context.CancelFunc) { time.AfterFunc(time.Second, cancel) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				o := small()
				stop(o, cancel)
				defer func() {
					require.ErrorContains(t, recover().(error), "closing the body has panicked: a bug of the provider")
				}()
				_, _ = blob.Stage(ctx, newMemStore(), key, closePanics{newHang(patternBytes(part + 7))}, o)
			})
		})
	}
}

// trickle gives a byte at a time, each after a pause.
type trickle struct {
	script
	pause time.Duration
}

func (r *trickle) Read(b []byte) (int, error) {
	time.Sleep(r.pause) // virtual
	return r.script.Read(b)
}

func TestSlowSourceIsNoStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.StallTimeout = time.Minute
		body := &trickle{script: script{data: patternBytes(100), step: 1, err: io.EOF}, pause: 59 * time.Second}
		c, err := blob.Stage(t.Context(), newMemStore(), key, body, o)
		require.NoError(t, err)
		require.EqualValues(t, 100, c.Size)
	})
}

// Reads that bring nothing don't put a stall off, as a connection does that sends
// no more than signs of life.
func TestStallOfEmptyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.StallTimeout = time.Minute
		body := newHang(nil)
		start := time.Now()
		_, err := blob.Stage(t.Context(), newMemStore(), key, &alive{hang: body}, o)
		require.ErrorIs(t, err, blob.ErrStalled)
		require.Equal(t, time.Minute, time.Since(start))

		// As long as something comes now and then it is none.
		body = newHang(nil)
		start = time.Now()
		_, err = blob.Stage(t.Context(), newMemStore(), key, &alive{hang: body, bytes: 100}, o)
		require.ErrorIs(t, err, blob.ErrStalled)
		require.Equal(t, 100*50*time.Second+time.Minute, time.Since(start))
	})
}

// alive is a body whose Reads return after 25 seconds each. Each other brings a
// byte, until there are no more.
type alive struct {
	*hang
	bytes int
	reads int
}

func (a *alive) Read(b []byte) (int, error) {
	select {
	case <-a.stop:
		return 0, io.EOF
	case <-time.After(25 * time.Second):
	}
	if a.reads++; a.reads%2 == 0 && a.bytes > 0 {
		a.bytes--
		return copy(b, "x"), nil
	}
	return 0, nil
}

// Only the source can stall: waiting for the store, or for memory, is no stall.
func TestSlowStoreIsNoStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := blobtest.NewFaulty(newMemStore())
		gate := f.Block(blobtest.OpStagePart, 1)
		o := small()
		o.Concurrency = 1
		o.StallTimeout = time.Minute
		time.AfterFunc(time.Hour, gate.Release)
		c, err := blob.Stage(t.Context(), f, key, &pattern{size: 10 * part}, o)
		require.NoError(t, err)
		require.EqualValues(t, 10*part, c.Size)

		o.Buffers = blob.NewBuffers(part)
		release, err := o.Buffers.Acquire(t.Context(), part)
		require.NoError(t, err)
		time.AfterFunc(time.Hour, release)
		_, err = blob.Stage(t.Context(), f, "other", &pattern{size: 10 * part}, o)
		require.NoError(t, err)
	})
}

func TestCancelWhileReading(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	shutdown := errors.New("shutting down")
	body := newHang(patternBytes(3*part + 100))
	go func() {
		<-body.waiting
		cancel(shutdown)
	}()
	s := newMemStore()
	o := small()
	r := record(t, o)
	_, err := blob.Stage(ctx, s, key, body, o)
	require.ErrorIs(t, err, shutdown)
	if r.last() != nil {
		requireResumes(t, s, r.last(), patternBytes(4*part))
	}
}

func TestCancelWhileStaging(t *testing.T) {
	t.Parallel()
	f := blobtest.NewFaulty(newMemStore())
	gate := f.Block(blobtest.OpStagePart, 2)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-gate.Entered()
		cancel()
	}()
	_, err := blob.Stage(ctx, f, key, &pattern{size: math.MaxInt64}, small())
	require.ErrorIs(t, err, context.Canceled)
}

func TestCancelWhileWaitingForMemory(t *testing.T) {
	t.Parallel()
	o := small()
	o.Buffers = blob.NewBuffers(part)
	release, err := o.Buffers.Acquire(t.Context(), part)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for o.Buffers.Stats().Waiting == 0 {
		}
		cancel()
	}()
	_, err = blob.Stage(ctx, newMemStore(), key, &pattern{size: 1}, o)
	require.ErrorIs(t, err, context.Canceled)
	release()
	require.Zero(t, o.Buffers.Stats().InUse)
}

type panics struct{ script }

func (p *panics) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		panic("bug of a provider")
	}
	return p.script.Read(b)
}

// A panic of a provider's body is the caller's, who may recover from it. Nothing
// is left behind.
func TestPanicOfTheBody(t *testing.T) {
	t.Parallel()
	o := small()
	o.Buffers = blob.NewBuffers(0)
	body := &panics{script{data: patternBytes(2*part + 10)}}
	f := blobtest.NewFaulty(newMemStore())
	f.Block(blobtest.OpStagePart, 1) // ends with its context only
	require.PanicsWithValue(t, "bug of a provider", func() {
		_, _ = blob.Stage(t.Context(), f, key, body, o)
	})
	require.EqualValues(t, 1, body.closed.Load())
	require.Zero(t, o.Buffers.Stats().InUse)
	require.Zero(t, o.Buffers.Stats().Idle)
}
