package remote

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// Folder is a directory that Download made, as a store that can be read from: for
// [backup.VerifyCopy]. An object is the file named by its provider, which is the last
// but one segment of its key.
type Folder struct {
	blob.Store // nil: nobody writes to it

	Dir string
}

func (f Folder) path(key string) (string, error) {
	if key == ManifestName {
		return filepath.Join(f.Dir, ManifestName), nil
	}
	provider := path.Base(path.Dir(key))
	if err := backup.ValidateProviderName(provider); err != nil {
		return "", blob.ErrNotFound // there is no file of such a name
	}
	return filepath.Join(f.Dir, provider), nil
}

// Unnamed lists the files in a directory that Download made that have a provider's
// name, and that the manifest doesn't name. Without a manifest that can be read there
// are none.
func Unnamed(dir string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var m backup.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, nil //nolint:nilerr // a verification says so
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		named := slices.ContainsFunc(m.Objects, func(o backup.ManifestObject) bool { return o.Provider == f.Name() })
		if !named && !f.IsDir() && backup.ValidateProviderName(f.Name()) == nil {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Stat is that of a store.
func (f Folder) Stat(_ context.Context, key string) (*blob.Object, error) {
	name, err := f.path(key)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, missing(err)
	}
	return &blob.Object{Key: key, Size: info.Size(), LastModified: info.ModTime()}, nil
}

// Open is that of a store.
func (f Folder) Open(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	name, err := f.path(key)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, missing(err)
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if length < 0 {
		return file, nil
	}
	return &section{file: file, left: length}, nil
}

func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return blob.ErrNotFound
	}
	return err
}

// section ends with io.EOF only when all of it was read.
type section struct {
	file *os.File
	left int64
}

func (s *section) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.file.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err == io.EOF && s.left > 0 { // the file's own end
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (s *section) Close() error { return s.file.Close() }
