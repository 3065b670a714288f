package fileblob_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Objects of one key come and go while others look at it: each look must see
// one object with its own metadata, or none.
func TestLookWhileObjectsComeAndGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 2 {
		w := open(t, dir)
		writers.Go(func() {
			for i := 0; i < 60; i++ {
				err := commitObject(ctx, w, "dir/a")
				if err == nil || errors.Is(err, blob.ErrExists) || errors.Is(err, blob.ErrPartMissing) {
					err = w.Delete(ctx, "dir/a")
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() {
		writers.Wait()
		cancel()
	}()
	seen := 0
	for ctx.Err() == nil {
		obj, err := s.Stat(t.Context(), "dir/a")
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		require.NoError(t, err)
		parts, err := s.CommittedParts(t.Context(), "dir/a")
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		require.NoError(t, err)
		require.Len(t, parts, 3)
		require.NotEmpty(t, obj.Metadata["of"], "an object in view without its metadata")
		seen++
	}
	require.NotZero(t, seen)
}

// Commits and deletes of neighbours make and remove the same directory.
func TestNeighboursShareADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var workers sync.WaitGroup
	for i := range 4 {
		s := open(t, dir)
		key := "shared/deep/" + string(rune('a'+i))
		workers.Go(func() {
			for range 40 {
				if err := s.Commit(t.Context(), key, nil, blob.Info{}); err != nil {
					t.Error(err)
					return
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	require.Empty(t, objects(t, dir))
}

// An object is replaced by another while it is looked at.
func TestLookSeesOneObject(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	put(t, s, "a", "old")
	var seen []string
	err := s.Look(t.Context(), "a", func(size int64, metadata map[string]string) {
		seen = append(seen, metadata["of"])
		if len(seen) == 1 {
			require.NoError(t, s.Delete(t.Context(), "a"))
			put(t, s, "a", "newer")
		} else {
			require.EqualValues(t, len("newer"), size)
		}
	})
	require.NoError(t, err)
	require.Equal(t, []string{hexOf("old"), hexOf("newer")}, seen)
}

// A program that knows nothing of stores makes files at the same names. Commit
// must replace none of them, and give none our metadata.
func TestCommitRacesWithForeignFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	foreign := 0
	for range 60 {
		parts := stage(t, s, "a", "mine")
		done := make(chan error, 1)
		go func() {
			done <- s.Commit(t.Context(), "a", parts, blob.Info{Metadata: map[string]string{"of": "mine"}})
		}()
		for range rand.IntN(2000) {
			_, _ = os.Lstat(dir) // takes some time
		}
		file, err := os.OpenFile(filepath.Join(dir, "a"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		committed := <-done
		if err == nil {
			foreign++
			require.NoError(t, file.Close())
			require.ErrorIs(t, committed, blob.ErrExists)
			obj, err := s.Stat(t.Context(), "a")
			require.NoError(t, err)
			require.Zero(t, obj.Size)
			require.Empty(t, obj.Metadata)
		} else {
			require.NoError(t, committed)
		}
		require.NoError(t, s.Delete(t.Context(), "a"))
	}
	require.NotZero(t, foreign)
}

func TestLockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	unlock, err := open(t, dir).Lock(t.Context(), "a")
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Delete(ctx, "a") }()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	go func() { done <- s.Delete(t.Context(), "a") }()
	unlock()
	require.NoError(t, <-done)
}
