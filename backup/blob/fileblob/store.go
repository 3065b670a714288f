package fileblob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
)

const (
	stagingDir = ".staging"
	metaDir    = ".meta"

	filePerm = 0o600
	dirPerm  = 0o700

	maxSegment = 255 // longest file name of common file systems, in bytes
)

var _ blob.Store = (*Store)(nil)

// Options are the optional settings of a Store.
type Options struct {
	// Create makes the directory if it isn't there. Without it a missing
	// directory is an error: it may be a disk that isn't mounted.
	Create bool
}

// Store is a directory of objects.
type Store struct {
	dir  string   // absolute
	root *os.Root // dir; names are slash-separated

	sweeping  sync.Mutex
	lastSweep time.Time
	now       func() time.Time
	sync      func(*os.File) error // of directories
}

// New opens dir as a store. opts may be nil.
func New(dir string, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	if dir == "" {
		return nil, errors.New("open file store: directory must not be empty")
	}
	if !canLock {
		return nil, fmt.Errorf("open file store: needs a system with flock: %w", errors.ErrUnsupported)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open file store: %w", err)
	}
	if opts.Create {
		if err := makeDir(abs, (*os.File).Sync); err != nil {
			return nil, fmt.Errorf("create file store: %w", err)
		}
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open file store: %w", err)
	}
	return &Store{dir: abs, root: root, now: systemTime, sync: (*os.File).Sync}, nil
}

// makeDir makes dir and what is missing above it, durably: all that is stored would
// be gone with its name.
func makeDir(dir string, sync func(*os.File) error) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent, sync); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirPerm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(parent) //nolint:gosec // the operator's directory
	if err != nil {
		return err
	}
	defer d.Close() // nothing was written through it
	return sync(d)
}

// String is the directory as a URL: "file:///var/backups".
func (s *Store) String() string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(s.dir)}).String()
}

// Check writes, syncs, links and removes a small file, and removes the parts of
// uploads that were given up a week ago.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("check %s: %w", s, err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.sameDir(); err != nil {
		return err
	}
	if err := s.mkdirAll(stagingDir); err != nil {
		return err
	}
	name := path.Join(stagingDir, tempName())
	defer s.root.Remove(name) //nolint:errcheck // it may be gone
	if err := s.writeFile(ctx, name, []byte("check\n")); err != nil {
		return err
	}
	second := path.Join(stagingDir, tempName())
	if err := s.root.Link(name, second); err != nil {
		return fmt.Errorf("the file system must have hard links: %w", err)
	}
	if err := s.root.Remove(second); err != nil {
		return err
	}
	return s.sweep(ctx)
}

// sameDir finds out whether the directory that was opened is still in its place:
// a disk may have been mounted over it, or unmounted from it, since.
func (s *Store) sameDir() error {
	opened, err := s.root.Stat(".")
	if err != nil {
		return err
	}
	there, err := os.Stat(s.dir)
	if err != nil {
		return err
	}
	if !os.SameFile(opened, there) {
		return errors.New("another directory has taken its place since it was opened")
	}
	return nil
}

// begin checks what every method checks first.
func begin(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// checkKey returns an error that says why key can't be the name of a file here.
func checkKey(key string) error {
	if err := blob.ValidateKey(key); err != nil {
		return err
	}
	first, _, _ := strings.Cut(key, "/")
	if reserved(first) {
		return fmt.Errorf("key %q begins with %q, a name that the file store keeps for itself", key, first)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if len(segment) > maxSegment {
			return fmt.Errorf("key %q has a segment of %d bytes, a file name may have %d", key, len(segment), maxSegment)
		}
	}
	return nil
}

// reserved says whether a name at the top of the directory isn't an object's.
func reserved(name string) bool {
	return name == stagingDir || name == metaDir || name == "lost+found"
}

// hashOf names a key in .staging and .meta.
func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func stagingOf(key string) string { return path.Join(stagingDir, hashOf(key)) }

func sidecarOf(key string) string { return path.Join(shardOf(key), hashOf(key)) }

func shardOf(key string) string { return path.Join(metaDir, hashOf(key)[:2]) }

// tempName is a fresh name that is no part id: those have no dot.
func tempName() string { return ".tmp-" + rand.Text() }

// missing says whether err means that a file, or a directory above it, isn't
// there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) || isNotDir(err) }
