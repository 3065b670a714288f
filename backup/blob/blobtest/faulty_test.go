package blobtest_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

var errBroken = errors.New("broken")

// Without a script, it is the store.
func TestFaultyConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return blobtest.NewFaulty(files(t)) })
}

func faulty(t *testing.T) *blobtest.Faulty {
	t.Helper()
	f := blobtest.NewFaulty(files(t))
	require.NoError(t, blob.Put(t.Context(), f, "a", []byte("hello"), "", nil))
	return f
}

func read(t *testing.T, s blob.Store, offset, length int64) (string, error) {
	t.Helper()
	body, err := s.Open(t.Context(), "a", offset, length)
	require.NoError(t, err)
	defer body.Close()
	data, err := io.ReadAll(body)
	return string(data), err
}

func TestFail(t *testing.T) {
	t.Parallel()
	f := faulty(t)
	f.Fail(blobtest.OpDelete, 2, errBroken)
	require.NoError(t, f.Delete(t.Context(), "nothing"))
	require.ErrorIs(t, f.Delete(t.Context(), "a"), errBroken)
	require.Equal(t, 2, f.Calls(blobtest.OpDelete))
	_, err := f.Stat(t.Context(), "a")
	require.NoError(t, err, "the call must not have reached the store")

	f.Fail(blobtest.OpList, 1, errBroken)
	for _, err := range f.List(t.Context(), "") {
		require.ErrorIs(t, err, errBroken)
	}
}

func TestLose(t *testing.T) {
	t.Parallel()
	f := faulty(t)
	f.Lose(blobtest.OpDelete, 1, errBroken)
	require.ErrorIs(t, f.Delete(t.Context(), "a"), errBroken)
	_, err := f.Stat(t.Context(), "a")
	require.ErrorIs(t, err, blob.ErrNotFound, "the call must have reached the store")

	f = faulty(t)
	f.Lose(blobtest.OpOpen, 1, errBroken)
	_, err = f.Open(t.Context(), "a", 0, -1)
	require.ErrorIs(t, err, errBroken)
}

func TestBlock(t *testing.T) {
	t.Parallel()
	f := faulty(t)
	gate := f.Block(blobtest.OpStat, 1)
	done := make(chan error)
	go func() {
		_, err := f.Stat(t.Context(), "a")
		done <- err
	}()
	<-gate.Entered()
	gate.Release()
	gate.Release()
	require.NoError(t, <-done)

	gate = f.Block(blobtest.OpStat, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, err := f.Stat(ctx, "a")
		done <- err
	}()
	<-gate.Entered()
	cancel(errBroken)
	require.ErrorIs(t, <-done, errBroken)
}

func TestFlipAndCut(t *testing.T) {
	t.Parallel()
	f := faulty(t)
	f.Flip(1, 1)
	data, err := read(t, f, 0, -1)
	require.NoError(t, err)
	require.Equal(t, "hdllo", data)
	data, err = read(t, f, 0, -1)
	require.NoError(t, err)
	require.Equal(t, "hello", data, "only the first")

	f.Flip(1, 1)
	data, err = read(t, f, 1, 2)
	require.NoError(t, err)
	require.Equal(t, "dl", data, "the offset is in the object")

	f.Cut(1, 4)
	data, err = read(t, f, 1, -1)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "ell", data)
}
