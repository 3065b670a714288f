package fileblob

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
)

const (
	// stagedFor is how long staged parts live after the last one was staged.
	stagedFor = 7 * 24 * time.Hour

	sweepEvery = time.Hour

	// deleting ends the name of what in .staging marks a key whose object is being
	// deleted.
	deleting = ".deleting"
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

// sweep removes the parts of uploads that were given up, and the sidecars of commits and
// deletes that were broken off. It looks at no other sidecars: these two leave the
// hash of their key in .staging.
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
		if err == nil { // the sidecar first: nothing else tells of it
			err = s.dropSidecar(ctx, strings.TrimSuffix(e.Name(), deleting))
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

// dropSidecar removes the sidecar of the key with that hash if there is no object. It has
// the key in it, which names somebody.
func (s *Store) dropSidecar(ctx context.Context, hash string) error {
	if len(hash) != len(hashOf("")) {
		return nil // a temporary file
	}
	name := path.Join(metaDir, hash[:2], hash)
	key, err := s.keyOf(name)
	if err != nil || hashOf(key) != hash {
		return err
	}
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.statObject(key); !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	if err := s.root.Remove(name); err != nil && !missing(err) {
		return err
	}
	return nil
}

// keyOf reads whose sidecar it is; nobody's, if it isn't there or isn't one.
func (s *Store) keyOf(name string) (key string, err error) {
	f, err := s.root.Open(name)
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close() // it was only read
	h, _, err := decodeHeader(f)
	if err != nil {
		return "", nil // it was put there by hand
	}
	return h.Key, nil
}
