package fileblob

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
)

// writeChunk is how much is written between two looks at the context.
const writeChunk = 4 << 20

// mkdirAll makes dir and what is missing above it, durably.
func (s *Store) mkdirAll(dir string) error {
	err := s.root.Mkdir(dir, dirPerm)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.mkdirAll(path.Dir(dir)); err != nil {
			return err
		}
		err = s.root.Mkdir(dir, dirPerm)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // or a file: what is done in it next says so
	}
	if err != nil {
		return err
	}
	return s.syncDir(path.Dir(dir))
}

// syncDir makes the names in dir durable.
func (s *Store) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // nothing was written through it
	return s.sync(d)
}

// syncDirs makes dir and every directory above it durable. Who made one of them
// may have died before it was synced.
func (s *Store) syncDirs(dir string) error {
	for ; dir != "."; dir = path.Dir(dir) {
		if err := s.syncDir(dir); err != nil {
			return err
		}
	}
	return s.syncDir(".")
}

// syncNearest makes durable that something in dir was removed, even if dir itself
// was removed since.
func (s *Store) syncNearest(dir string) error {
	for {
		err := s.syncDir(dir)
		if !missing(err) || dir == "." {
			return err
		}
		dir = path.Dir(dir)
	}
}

// create makes a new file, open for writing.
func (s *Store) create(name string) (*os.File, error) {
	return s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
}

// writeFile writes and syncs a new file. After an error the file may be there.
func (s *Store) writeFile(ctx context.Context, name string, data []byte) error {
	f, err := s.create(name)
	if err != nil {
		return err
	}
	return finish(f, writeAll(ctx, f, data))
}

func writeAll(ctx context.Context, f *os.File, data []byte) error {
	for len(data) > 0 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := f.Write(data[:min(len(data), writeChunk)])
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// finish syncs and closes a file that was written with the result err.
func finish(f *os.File, err error) error {
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
