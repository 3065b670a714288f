package fileblob

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Delete removes the object's file, then its sidecar, then the directories that
// are empty now.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.delete(ctx, key); err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key string) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	mark := stagingOf(key) + deleting
	_, err = s.statObject(key)
	switch {
	case err == nil:
		// Who dies between the two leaves a sidecar that no list shows: sweep finds it by
		// this. Where the disk is full it can't be made, and the object goes all the same.
		_ = s.mkdirAll(mark)
		// The file must be gone for good before its sidecar is: a power failure
		// must not bring back the one without the other.
		if err = s.root.Remove(key); err == nil {
			err = s.syncNearest(path.Dir(key))
		}
		if err != nil && !missing(err) {
			return err
		}
	case !errors.Is(err, blob.ErrNotFound):
		return err
	}
	if err := s.root.Remove(sidecarOf(key)); err != nil && !missing(err) {
		return err
	}
	_ = s.root.Remove(mark) // else it is swept one day
	s.prune(path.Dir(key))
	return nil
}

// prune removes dir and the directories above it as long as they are empty. That
// is tidiness only: a commit that has just made one of them makes it again.
func (s *Store) prune(dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		if rmdir(filepath.Join(s.dir, filepath.FromSlash(dir))) != nil {
			return
		}
	}
}
