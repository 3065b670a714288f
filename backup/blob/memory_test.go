package blob_test

import (
	"context"
	"crypto/sha256"
	"encoding"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

const mib = 1 << 20

// The schedule that the package's documentation states.
func TestSchedule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ index, size, window, staging int }{
		{0, 8, 40, 4},
		{9_999, 8, 40, 4},
		{10_000, 16, 40, 2},
		{19_999, 16, 40, 2},
		{20_000, 32, 64, 1},
		{30_000, 64, 128, 1},
		{40_000, 128, 256, 1},
		{49_999, 128, 256, 1},
	} {
		require.EqualValues(t, c.size*mib, blob.PartSize(8*mib, 4, c.index), c.index)
		require.EqualValues(t, c.window*mib, blob.Window(8*mib, 4, c.index), c.index)
		require.Equal(t, c.staging, blob.Staging(8*mib, 4, c.index), c.index)
	}
	var total int64
	for i := range blob.MaxParts {
		total += blob.PartSize(8*mib, 4, i)
	}
	require.Greater(t, total, int64(2_360)<<30, "50,000 parts must reach terabytes")

	require.EqualValues(t, 4000*mib, blob.PartSize(4000*mib, 1, 49_999), "Azure takes no larger block")
	require.Equal(t, 4, blob.Staging(64*mib, 4, 0), "a size that was asked for runs at the concurrency that was asked for")
	require.Equal(t, 1, blob.Staging(8*mib, 1, 10_000))
	require.Equal(t, 3, blob.Staging(64<<10, 3, 10_000))
	require.Equal(t, 2, blob.Staging(8*mib, 3, 10_000))
	require.Equal(t, 2, blob.Staging(8*mib, 16, 10_000))
}

// However fast the source and slow the store, an upload holds no more than is
// stated, through all sizes of parts.
func TestMemoryOfAnUpload(t *testing.T) {
	t.Parallel()
	const size = 10_000*(1+2+4+8)*100 + 12_345*100
	for _, concurrency := range []int{1, 2, 4, 9} {
		o := options()
		o.Concurrency = concurrency
		o.Buffers = blob.NewBuffers(0)
		c, err := blob.StageSized(t.Context(), nullStore{}, key, &pattern{size: size}, o, 100)
		require.NoError(t, err)
		require.EqualValues(t, size, c.Size)
		stats := o.Buffers.Stats()
		last := len(c.Parts) - 1
		require.LessOrEqual(t, stats.Peak, blob.Window(100, concurrency, last), "concurrency %d", concurrency)
		require.Zero(t, stats.InUse)
		require.Zero(t, stats.Idle, "idle memory must go back when the last upload ends")
	}
}

// Many uploads share a budget that is far too small for all: each comes to its
// end, and together they keep to it.
func TestUploadsShareABudget(t *testing.T) {
	t.Parallel()
	for _, budget := range []int64{1, part, 3 * part, 10 * part} {
		buffers := blob.NewBuffers(budget)
		s := newMemStore()
		var uploads sync.WaitGroup
		for i := range 12 {
			uploads.Go(func() {
				o := small()
				o.Buffers = buffers
				o.PartSize = int64(part * (1 + i%3)) // also larger ones than the budget
				o.Concurrency = 1 + i%5
				c, err := blob.Stage(t.Context(), s, fmt.Sprint("upload", i), &pattern{size: int64(20*part + i)}, o)
				if err != nil || c.Size != int64(20*part+i) {
					t.Error(i, err)
				}
			})
		}
		uploads.Wait()
		stats := buffers.Stats()
		require.LessOrEqual(t, stats.Peak, max(budget, 3*part))
		require.Zero(t, stats.InUse+stats.Idle)
		require.Zero(t, stats.Waiting)
	}
}

func TestBuffersAreFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := blob.NewBuffers(10)
		release, err := b.Acquire(t.Context(), 6)
		require.NoError(t, err)
		got := make(chan int64, 3)
		acquire := func(ctx context.Context, size int64) {
			go func() {
				if release, err := b.Acquire(ctx, size); err == nil {
					got <- size
					release()
				}
			}()
			synctest.Wait()
		}
		first, cancel := context.WithCancel(t.Context())
		acquire(first, 9)
		acquire(t.Context(), 4) // would fit, and yet waits behind the first
		acquire(t.Context(), 20)
		require.Equal(t, 3, b.Stats().Waiting)
		require.Empty(t, got)
		cancel()
		synctest.Wait()
		require.EqualValues(t, 4, <-got, "who gives up must let in the next")
		require.Empty(t, got)
		release()
		require.EqualValues(t, 20, <-got, "what is larger than the budget is served alone")
		synctest.Wait()
		require.Zero(t, b.Stats().InUse)
	})
}

// A waiter may be served and canceled at once. Its buffer must not be lost.
func TestBuffersOfACanceledWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := blob.NewBuffers(part)
		for range 100 { // the scheduler has a say in it
			release, err := b.Acquire(t.Context(), part)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if release, err := b.Acquire(ctx, part); err == nil {
					release()
				}
			}()
			synctest.Wait()
			cancel()
			release()
			synctest.Wait()
			require.Zero(t, b.Stats().InUse)
		}
	})
}

// Memory that was released is reused while any upload runs.
func TestBuffersAreReused(t *testing.T) {
	t.Parallel()
	b := blob.NewBuffers(0)
	keep, err := b.Acquire(t.Context(), part)
	require.NoError(t, err)
	for range 10 {
		release, err := b.Acquire(t.Context(), part)
		require.NoError(t, err)
		release()
	}
	require.Equal(t, blob.BufferStats{InUse: part, Idle: part, Peak: 2 * part}, b.Stats())
	release, err := b.Acquire(t.Context(), 2*part)
	require.NoError(t, err)
	require.Equal(t, blob.BufferStats{InUse: 3 * part, Peak: 3 * part}, b.Stats(), "idle memory of another size must make room")
	release()
	keep()
	require.Equal(t, blob.BufferStats{Peak: 3 * part}, b.Stats())
}

// 50,000 parts are enough, one more is refused before it is staged.
func TestTooManyParts(t *testing.T) {
	t.Parallel()
	const most = 10_000 * (1 + 2 + 4 + 8 + 16)
	f := blobtest.NewFaulty(nullStore{})
	c, err := blob.StageSized(t.Context(), f, key, &pattern{size: most}, options(), 1)
	require.NoError(t, err)
	require.Len(t, c.Parts, blob.MaxParts)
	require.EqualValues(t, most, blob.Capacity(1))

	body := &pattern{size: 2 * most}
	o := options()
	r := record(t, o)
	o.JournalBytes = 1 << 40
	_, err = blob.StageSized(t.Context(), f, key, body, o, 1)
	require.ErrorIs(t, err, blob.ErrTooManyParts)
	require.Equal(t, 2*blob.MaxParts, f.Calls(blobtest.OpStagePart), "the 50,001st part must not be staged")
	require.EqualValues(t, most+1, body.at)
	require.Len(t, r.last().Parts, blob.MaxParts)
}

// The same at the sizes that it comes to: an export of 2.3 TiB fits, and a byte
// more doesn't.
func TestMultiTerabyte(t *testing.T) {
	t.Parallel()
	resume := &blob.Checkpoint{}
	for i := range blob.MaxParts - 1 {
		p := blob.Part{ID: blob.NewPartID(uploadID, token, i), Size: blob.PartSize(8*mib, 4, i)}
		resume.Parts = append(resume.Parts, p)
		resume.Offset += p.Size
	}
	resume.SHA256, _ = sha256.New().(encoding.BinaryMarshaler).MarshalBinary()
	o := options()
	o.Resume = resume
	f := blobtest.NewFaulty(nullStore{})
	c, err := blob.Stage(t.Context(), f, key, &pattern{size: 128 * mib}, o)
	require.NoError(t, err)
	require.Len(t, c.Parts, blob.MaxParts)
	require.EqualValues(t, 310_000*8*mib, c.Size)

	body := &pattern{size: math.MaxInt64}
	_, err = blob.Stage(t.Context(), f, key, body, o)
	require.ErrorIs(t, err, blob.ErrTooManyParts)
	require.Equal(t, 2, f.Calls(blobtest.OpStagePart))
	require.EqualValues(t, 128*mib+1, body.at)
}
