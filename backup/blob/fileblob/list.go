package fileblob

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// List walks the directory, one level at a time. It yields no metadata.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[*blob.Object, error] {
	return func(yield func(*blob.Object, error) bool) {
		dir := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			dir = prefix[:i]
		}
		// No key has a prefix like "../", which would lead elsewhere.
		if dir != "." && checkKey(dir) != nil {
			return
		}
		w := &walk{ctx: ctx, store: s, prefix: prefix, yield: yield}
		if _, err := w.dir(dir); err != nil {
			yield(nil, fmt.Errorf("list %q: %w", prefix, err))
		}
	}
}

// walk is one run of List.
type walk struct {
	ctx    context.Context // List's
	store  *Store
	prefix string
	yield  func(*blob.Object, error) bool
}

// dir yields what is below dir, in the order of the keys. more is false when the
// caller wants no more.
func (w *walk) dir(dir string) (more bool, err error) {
	if err := context.Cause(w.ctx); err != nil {
		return false, err
	}
	entries, err := w.store.readDir(dir)
	if err != nil {
		return false, err
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(order(a), order(b)) })
	for _, e := range entries {
		if more, err := w.entry(dir, e); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// order is what the keys of an entry begin with: "a/" sorts behind "a.b".
func order(e os.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

func (w *walk) entry(dir string, e os.DirEntry) (more bool, err error) {
	key := path.Join(dir, e.Name())
	switch {
	case dir == "." && reserved(e.Name()):
		return true, nil
	case e.IsDir() && (strings.HasPrefix(key+"/", w.prefix) || strings.HasPrefix(w.prefix, key+"/")):
		return w.dir(key)
	case !e.Type().IsRegular() || !strings.HasPrefix(key, w.prefix):
		return true, nil
	}
	info, err := e.Info()
	if missing(err) {
		return true, nil // deleted meanwhile
	}
	if err != nil {
		return false, err
	}
	return w.yield(object(key, info), nil), nil
}

func object(key string, info fs.FileInfo) *blob.Object {
	return &blob.Object{Key: key, Size: info.Size(), LastModified: info.ModTime()}
}
