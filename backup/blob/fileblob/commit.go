package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// copyChunk is how much is copied between two looks at the context.
const copyChunk = 64 << 20

// Commit copies the parts into a new file and links it to its name.
func (s *Store) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	if err := s.commit(ctx, key, parts, info); err != nil {
		return fmt.Errorf("commit %q: %w", key, err)
	}
	return nil
}

func (s *Store) commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	if len(parts) > blob.MaxParts {
		return blob.ErrTooManyParts
	}
	if err := s.free(key); err != nil {
		if errors.Is(err, blob.ErrExists) {
			return s.complete(ctx, key, parts)
		}
		return err
	}
	staging := stagingOf(key)
	if err := s.mkdirAll(staging); err != nil {
		return err
	}
	file := path.Join(staging, tempName())
	side := path.Join(staging, tempName())
	defer s.root.Remove(file) //nolint:errcheck // gone with the directory, if all went well
	defer s.root.Remove(side) //nolint:errcheck // it was renamed, if all went well
	if err := s.prepare(ctx, key, file, side, parts, info); err != nil {
		return s.lostRace(key, err)
	}
	if err := s.publish(ctx, key, file, side); err != nil {
		return s.lostRace(key, err)
	}
	// The object is there. What can't be removed is swept one day.
	_ = s.root.RemoveAll(staging)
	return nil
}

// free returns ErrExists if an object is at key.
func (s *Store) free(key string) error {
	info, err := s.root.Lstat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case isNotDir(err):
		return errors.New("a directory of the key is another object")
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("the key is a directory of other objects")
	}
	return blob.ErrExists
}

// lostRace says what it means that our files are gone: somebody else's commit of
// the key was faster and has removed them, with all parts.
func (s *Store) lostRace(key string, err error) error {
	switch {
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, blob.ErrPartMissing):
		return err
	case errors.Is(s.free(key), blob.ErrExists):
		return blob.ErrExists
	case errors.Is(err, blob.ErrPartMissing):
		return err
	default:
		return fmt.Errorf("%w: %w", blob.ErrPartMissing, err)
	}
}

// prepare writes the object and its sidecar under temporary names, durably.
func (s *Store) prepare(ctx context.Context, key, file, side string, parts []blob.Part, info blob.Info) error {
	f, err := s.create(file)
	if err != nil {
		return err
	}
	h := &header{Key: key, ContentType: info.ContentType, Metadata: info.Metadata, Parts: len(parts)}
	for _, p := range parts {
		if err = s.appendPart(ctx, f, path.Join(path.Dir(file), p.ID.String()), p.Size); err != nil {
			err = fmt.Errorf("part %d: %w", p.ID.Index(), err)
			break
		}
		h.Size += p.Size
	}
	if err := finish(f, err); err != nil {
		return err
	}
	data, err := encodeSidecar(h, parts)
	if err != nil {
		return err
	}
	return s.writeFile(ctx, side, data)
}

// appendPart copies a staged part to the end of f. On Linux the system copies
// without the bytes passing through the process.
func (s *Store) appendPart(ctx context.Context, f *os.File, name string, size int64) error {
	part, err := s.root.Open(name)
	if missing(err) {
		return blob.ErrPartMissing
	}
	if err != nil {
		return err
	}
	defer part.Close() // it was only read
	info, err := part.Stat()
	if err != nil {
		return err
	}
	if info.Size() != size {
		return fmt.Errorf("%w: it has %d bytes, not %d", blob.ErrPartMissing, info.Size(), size)
	}
	for left := size; left > 0; left -= min(left, copyChunk) {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if _, err := io.CopyN(f, part, min(left, copyChunk)); err != nil {
			return err
		}
	}
	return nil
}

// publish makes the object visible, with its sidecar.
func (s *Store) publish(ctx context.Context, key, file, side string) error {
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.free(key); err != nil {
		return err
	}
	// Nobody looks at a sidecar without an object, so this changes nothing yet.
	if err := s.root.Rename(side, sidecarOf(key)); err != nil {
		return err
	}
	if err := s.syncDirs(shardOf(key)); err != nil {
		return err
	}
	if err := s.link(file, key); err != nil {
		// Whoever put a file there did so without the lock, and not as a store:
		// it must not get our metadata.
		_ = s.root.Remove(sidecarOf(key))
		return err
	}
	return s.syncDirs(path.Dir(key))
}

// link gives file the name key, never in the place of another.
func (s *Store) link(file, key string) error {
	var err error
	for range dirTries {
		if err = s.mkdirAll(path.Dir(key)); err == nil {
			err = s.root.Link(file, key)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		// A delete has removed the directory again, since it was empty; or else
		// somebody has removed our file.
		if _, gone := s.root.Lstat(file); gone != nil {
			return gone
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return blob.ErrExists
	}
	return err
}

// complete does what is left to do for an object that is there, if it consists of
// just these parts: the process that committed it may have died before it had
// synced it, or removed the parts. It returns ErrExists if all is well.
func (s *Store) complete(ctx context.Context, key string, parts []blob.Part) error {
	same := func(a, b blob.Part) bool { return a.ID == b.ID && a.Size == b.Size }
	committed, err := s.CommittedParts(ctx, key)
	if err != nil || !slices.EqualFunc(committed, parts, same) {
		return blob.ErrExists // not ours
	}
	for _, dir := range []string{shardOf(key), path.Dir(key)} {
		if err := s.syncDirs(dir); err != nil {
			return err
		}
	}
	_ = s.root.RemoveAll(stagingOf(key)) // else it is swept one day
	return blob.ErrExists
}
