package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// dirTries is how often a file is put into a directory that others remove at
// the same time.
const dirTries = 10

// StagePart writes the part to a file of its own.
func (s *Store) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if err := s.stagePart(ctx, key, part, data); err != nil {
		return fmt.Errorf("stage part %d of %q: %w", part.ID.Index(), key, err)
	}
	return nil
}

func (s *Store) stagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	if len(data) == 0 || part.Size != int64(len(data)) {
		return fmt.Errorf("part of %d bytes came with %d", part.Size, len(data))
	}
	if blob.Checksum(data) != part.CRC64 {
		return blob.ErrChecksum
	}
	s.sweepNowAndThen(ctx)
	dir := stagingOf(key)
	var err error
	for range dirTries {
		if err = s.mkdirAll(dir); err != nil {
			return err
		}
		// A commit or an abort of the key may remove the directory again.
		if err = s.writePart(ctx, dir, part.ID.String(), data); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// writePart writes a file under a temporary name and gives it its name when it
// is whole.
func (s *Store) writePart(ctx context.Context, dir, name string, data []byte) error {
	temp := path.Join(dir, tempName())
	err := s.writeFile(ctx, temp, data)
	if err == nil {
		err = s.root.Rename(temp, path.Join(dir, name))
	}
	if err != nil {
		_ = s.root.Remove(temp) // it may not be there
		return err
	}
	return s.syncDir(dir)
}

// StagedParts lists the files of the parts.
func (s *Store) StagedParts(ctx context.Context, key string) ([]blob.Part, error) {
	parts, err := s.stagedParts(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("list staged parts of %q: %w", key, err)
	}
	return parts, nil
}

func (s *Store) stagedParts(ctx context.Context, key string) ([]blob.Part, error) {
	if err := begin(ctx, key); err != nil {
		return nil, err
	}
	entries, err := s.readDir(stagingOf(key))
	if err != nil {
		return nil, err
	}
	var parts []blob.Part
	for _, e := range entries {
		id, err := blob.ParsePartID(e.Name())
		if err != nil {
			continue // a temporary file
		}
		info, err := e.Info()
		if missing(err) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, blob.Part{ID: id, Size: info.Size()})
	}
	return parts, nil
}

// Abort removes all parts of the key, and the sidecar that a commit of it has left
// without an object.
func (s *Store) Abort(ctx context.Context, key string) error {
	err := begin(ctx, key)
	if err == nil {
		err = s.dropSidecar(ctx, hashOf(key))
	}
	if err == nil {
		err = s.root.RemoveAll(stagingOf(key))
	}
	if err != nil {
		return fmt.Errorf("abort %q: %w", key, err)
	}
	return nil
}

// readDir lists a directory, in no order. One that isn't there is empty.
func (s *Store) readDir(dir string) ([]os.DirEntry, error) {
	d, err := s.root.Open(dir)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close() // it was only read
	entries, err := d.ReadDir(-1)
	if missing(err) {
		return nil, nil
	}
	return entries, err
}
