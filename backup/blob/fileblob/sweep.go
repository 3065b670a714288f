package fileblob

import (
	"context"
	"fmt"
	"path"
	"time"
)

const (
	// stagedFor is how long staged parts live after the last one was staged.
	stagedFor = 7 * 24 * time.Hour

	sweepEvery = time.Hour
)

// sweepNowAndThen sweeps if it is time. No part is refused because others can't
// be removed; Check says so.
func (s *Store) sweepNowAndThen(ctx context.Context) {
	now := s.now()
	s.sweeping.Lock()
	due := now.Sub(s.lastSweep) >= sweepEvery
	if due {
		s.lastSweep = now
	}
	s.sweeping.Unlock()
	if due {
		_ = s.sweep(ctx)
	}
}

// sweep removes the parts of uploads that were given up.
func (s *Store) sweep(ctx context.Context) error {
	now := s.now()
	entries, err := s.readDir(stagingDir)
	if err != nil {
		return fmt.Errorf("sweep staged parts: %w", err)
	}
	for _, e := range entries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		// A directory's time is that of the last change of its names: each part
		// that is staged sets it.
		info, err := e.Info()
		if missing(err) || err == nil && now.Sub(info.ModTime()) < stagedFor {
			continue
		}
		if err == nil {
			err = s.root.RemoveAll(path.Join(stagingDir, e.Name()))
		}
		if err != nil {
			return fmt.Errorf("sweep staged parts: %w", err)
		}
	}
	return nil
}
