package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// lookTries is how often an object is looked at that others delete and commit
// at the same time.
const lookTries = 100

// Open opens the object's file.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, err := s.openRange(ctx, key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", key, err)
	}
	return body, nil
}

func (s *Store) openRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := begin(ctx, key); err != nil {
		return nil, err
	}
	if offset < 0 || length < -1 {
		return nil, fmt.Errorf("range of %d bytes at %d is impossible", length, offset)
	}
	f, info, err := s.openObject(key)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, err
	}
	if length < 0 {
		if length = info.Size() - offset; length < 0 {
			_ = f.Close()
			return nil, fmt.Errorf("range at %d of %d bytes: %w", offset, info.Size(), io.ErrUnexpectedEOF)
		}
	}
	return &body{ctx: ctx, file: f, left: length}, nil
}

// body is a range of a file. It ends with io.EOF only when all of it was read.
type body struct {
	ctx  context.Context // Open's
	file *os.File
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.file.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) Close() error { return b.file.Close() }

// openObject opens the file of an object, ErrNotFound if there is none.
func (s *Store) openObject(key string) (*os.File, os.FileInfo, error) {
	if _, err := s.statObject(key); err != nil {
		return nil, nil, err
	}
	f, err := s.root.Open(key)
	if missing(err) {
		return nil, nil, blob.ErrNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// statObject looks at the name of an object: ErrNotFound if there is none, or
// something that isn't a file.
func (s *Store) statObject(key string) (os.FileInfo, error) {
	info, err := s.root.Lstat(key)
	if missing(err) || err == nil && !info.Mode().IsRegular() {
		return nil, blob.ErrNotFound
	}
	return info, err
}

// unsynced is how old an object must be before its name is durable for certain,
// whatever became of the process that gave it.
const unsynced = 10 * time.Minute

// Stat reads the object's sidecar. The process that made the object may have died
// before it had synced its name, so that of a young one is synced: who is told that
// the object is there relies on it.
func (s *Store) Stat(ctx context.Context, key string) (*blob.Object, error) {
	var obj *blob.Object
	err := s.look(ctx, key, func(info os.FileInfo, c *sidecar) error {
		obj = &blob.Object{Key: key, Size: info.Size(), LastModified: info.ModTime()}
		if c != nil {
			obj.Info = c.info()
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("stat %q: %w", key, err)
	}
	if s.now().Sub(obj.LastModified) < unsynced {
		err := s.syncDirs(path.Dir(key))
		if missing(err) { // it was deleted meanwhile, and its directories with it
			err = blob.ErrNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("stat %q: sync: %w", key, err)
		}
	}
	return obj, nil
}

// CommittedParts reads the object's sidecar. A file that wasn't committed has no
// parts: errors.ErrUnsupported.
func (s *Store) CommittedParts(ctx context.Context, key string) ([]blob.Part, error) {
	var parts []blob.Part
	err := s.look(ctx, key, func(_ os.FileInfo, c *sidecar) (err error) {
		if c == nil {
			return errors.ErrUnsupported
		}
		parts, err = c.readParts()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list committed parts of %q: %w", key, err)
	}
	return parts, nil
}

// look calls read with an object and its own sidecar, maybe several times.
//
// Readers take no lock. While the object's file is open its inode can't become
// another's, and it is linked to its name only once. So if the name leads to it
// before and after, no other object was there, and the sidecar was its own.
func (s *Store) look(ctx context.Context, key string, read func(os.FileInfo, *sidecar) error) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	for range lookTries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		same, err := s.lookOnce(key, read)
		if same || errors.Is(err, blob.ErrNotFound) {
			return err
		}
	}
	return errors.New("the object changes again and again")
}

// lookOnce says whether the object was the same all the while.
func (s *Store) lookOnce(key string, read func(os.FileInfo, *sidecar) error) (same bool, err error) {
	f, info, err := s.openObject(key)
	if err != nil {
		return true, err
	}
	defer f.Close() // it was only read
	c, err := s.openSidecar(key)
	defer c.close()
	if err == nil {
		err = read(info, c)
	}
	now, gone := s.statObject(key)
	if gone != nil {
		return true, gone
	}
	return os.SameFile(info, now), err
}
