// Package memblob is a blob.Store in memory, for tests and benchmarks that have
// no business with a disk.
package memblob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Store is a whole store in memory, as fast as one can be. It passes the
// conformance suite. A test may look at its fields, and damage what is in them,
// while no method runs.
type Store struct {
	Staged  map[string]map[blob.PartID][]byte // by key
	Objects map[string]*Object                // by key

	mu sync.RWMutex
}

// Object is an object that was committed.
type Object struct {
	blob.Object
	Data  []byte
	Parts []blob.Part
}

// New returns an empty store.
func New() *Store {
	return &Store{Staged: make(map[string]map[blob.PartID][]byte), Objects: make(map[string]*Object)}
}

func begin(ctx context.Context, key string) error {
	if err := blob.ValidateKey(key); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// StagePart is that of the interface.
func (s *Store) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	if len(data) == 0 || part.Size != int64(len(data)) {
		return errors.New("wrong size")
	}
	if blob.Checksum(data) != part.CRC64 {
		return blob.ErrChecksum
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Staged[key] == nil {
		s.Staged[key] = make(map[blob.PartID][]byte)
	}
	s.Staged[key][part.ID] = bytes.Clone(data)
	return nil
}

// StagedParts is that of the interface.
func (s *Store) StagedParts(ctx context.Context, key string) ([]blob.Part, error) {
	if err := begin(ctx, key); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var parts []blob.Part
	for id, data := range s.Staged[key] {
		parts = append(parts, blob.Part{ID: id, Size: int64(len(data))})
	}
	return parts, nil
}

// Commit is that of the interface.
func (s *Store) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Objects[key] != nil {
		return blob.ErrExists
	}
	o := &Object{Parts: slices.Clone(parts)}
	for _, p := range parts {
		data, ok := s.Staged[key][p.ID]
		if !ok {
			return fmt.Errorf("part %d: %w", p.ID.Index(), blob.ErrPartMissing)
		}
		o.Data = append(o.Data, data...)
	}
	info.Metadata = maps.Clone(info.Metadata)
	o.Object = blob.Object{Key: key, Size: int64(len(o.Data)), LastModified: time.Unix(1, 0), Info: info}
	s.Objects[key] = o
	delete(s.Staged, key)
	return nil
}

func (s *Store) object(ctx context.Context, key string) (*Object, error) {
	if err := begin(ctx, key); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if o := s.Objects[key]; o != nil {
		return o, nil
	}
	return nil, blob.ErrNotFound
}

// CommittedParts is that of the interface.
func (s *Store) CommittedParts(ctx context.Context, key string) ([]blob.Part, error) {
	o, err := s.object(ctx, key)
	if err != nil {
		return nil, err
	}
	return slices.Clone(o.Parts), nil
}

// Open is that of the interface.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	o, err := s.object(ctx, key)
	if err != nil {
		return nil, err
	}
	if length < 0 {
		length = o.Size - offset
	}
	if offset+length > o.Size || length < 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return io.NopCloser(bytes.NewReader(o.Data[offset : offset+length])), nil
}

// Stat is that of the interface.
func (s *Store) Stat(ctx context.Context, key string) (*blob.Object, error) {
	o, err := s.object(ctx, key)
	if err != nil {
		return nil, err
	}
	copied := o.Object
	return &copied, nil
}

// List is that of the interface.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[*blob.Object, error] {
	return func(yield func(*blob.Object, error) bool) {
		s.mu.RLock()
		keys := slices.Sorted(maps.Keys(s.Objects))
		s.mu.RUnlock()
		for _, key := range keys {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			if obj, err := s.Stat(ctx, key); !yield(obj, err) || err != nil {
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// Delete is that of the interface.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.Objects, key)
	return nil
}

// Abort is that of the interface.
func (s *Store) Abort(ctx context.Context, key string) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.Staged, key)
	return nil
}

// Check is that of the interface.
func (s *Store) Check(ctx context.Context) error { return context.Cause(ctx) }

// String is a name for messages.
func (s *Store) String() string { return "mem:" }
