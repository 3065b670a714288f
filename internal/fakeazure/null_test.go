package fakeazure_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/internal/fakeazure"
)

var (
	uploadID = [16]byte{1}
	token    = [16]byte{2}
)

func part(index int, data []byte) blob.Part {
	return blob.Part{ID: blob.NewPartID(uploadID, token, index), Size: int64(len(data)), CRC64: blob.Checksum(data)}
}

// A whole upload succeeds on a fake that keeps nothing, and it says how much came. It isn't
// parallel: it measures memory.
func TestNull(t *testing.T) {
	h, _, s := start(t, &fakeazure.Options{Null: true})
	const size = 70<<20 + 1
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body := io.LimitReader(zeros{}, size)
	c, err := blob.Stage(t.Context(), s, "a/b", io.NopCloser(body), &blob.UploadOptions{UploadID: uploadID, Token: token, PartSize: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, blob.Commit(t.Context(), s, "a/b", uploadID, c, "text/plain"))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(30<<20), "it allocates memory for the bodies")

	stats := h.Stats()
	require.EqualValues(t, 71, stats.Blocks)
	require.EqualValues(t, size, stats.Bytes)
	require.EqualValues(t, 1, stats.Commits)
	obj, err := s.Stat(t.Context(), "a/b")
	require.NoError(t, err)
	require.EqualValues(t, size, obj.Size)
	require.Equal(t, "text/plain", obj.ContentType)
	_, err = s.Open(t.Context(), "a/b", 0, -1)
	require.ErrorContains(t, err, "FeatureNotSupportedByFake", "nobody may take nothing for the content")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestSkipChecksum(t *testing.T) {
	t.Parallel()
	for skip, want := range map[bool]error{false: blob.ErrChecksum, true: nil} {
		_, _, s := start(t, &fakeazure.Options{Null: true, SkipChecksum: skip})
		data := []byte("content")
		p := part(0, data)
		p.CRC64++
		require.ErrorIs(t, s.StagePart(t.Context(), "a", p, data), want)
	}
}

// Each answer waits for the delay, those that wait at the same time together.
func TestDelay(t *testing.T) {
	t.Parallel()
	const delay = 200 * time.Millisecond
	_, _, s := start(t, &fakeazure.Options{Null: true, Delay: delay})
	began := time.Now()
	done := make(chan error)
	for i := range 8 {
		go func() { done <- s.StagePart(t.Context(), "a", part(i, []byte("x")), []byte("x")) }()
	}
	for range 8 {
		require.NoError(t, <-done)
	}
	_, err := s.Stat(t.Context(), "b")
	require.ErrorIs(t, err, blob.ErrNotFound)
	took := time.Since(began)
	require.GreaterOrEqual(t, took, 2*delay)
	require.Less(t, took, 8*delay)
}

// More blocks than Azurite can stand, up to the limit.
func TestManyBlocks(t *testing.T) {
	t.Parallel()
	_, _, s := start(t, &fakeazure.Options{Null: true})
	const n = 3000
	parts := make([]blob.Part, n)
	group := make(chan int)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range group {
				if err := s.StagePart(ctx, "a", parts[i], bytes.Repeat([]byte("x"), i+1)); err != nil {
					cancel(err)
				}
			}
		}()
	}
	for i := range n {
		parts[i] = part(i, bytes.Repeat([]byte("x"), i+1))
		group <- i
	}
	close(group)
	for range 8 {
		<-done
	}
	require.NoError(t, context.Cause(ctx))
	staged, err := s.StagedParts(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, staged, n)
	require.NoError(t, s.Commit(t.Context(), "a", parts, blob.Info{}))
	committed, err := s.CommittedParts(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, committed, n)
	for i, p := range committed {
		require.Equal(t, parts[i].ID, p.ID)
		require.Equal(t, parts[i].Size, p.Size)
	}
}
