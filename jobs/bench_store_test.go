package jobs

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
	"testing"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

// memStore is a whole store in memory, so that the benchmarks measure the job
// layer and not a disk.
type memStore struct {
	mu      sync.RWMutex
	staged  map[string]map[blob.PartID][]byte
	objects map[string]*memObject
}

type memObject struct {
	blob.Object
	data  []byte
	parts []blob.Part
}

func newMemStore() *memStore {
	return &memStore{staged: make(map[string]map[blob.PartID][]byte), objects: make(map[string]*memObject)}
}

func TestMemStoreConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(*testing.T) blob.Store { return newMemStore() })
}

func admitKey(ctx context.Context, key string) error {
	if err := blob.ValidateKey(key); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (s *memStore) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if err := admitKey(ctx, key); err != nil {
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
	if s.staged[key] == nil {
		s.staged[key] = make(map[blob.PartID][]byte)
	}
	s.staged[key][part.ID] = bytes.Clone(data)
	return nil
}

func (s *memStore) StagedParts(ctx context.Context, key string) ([]blob.Part, error) {
	if err := admitKey(ctx, key); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var parts []blob.Part
	for id, data := range s.staged[key] {
		parts = append(parts, blob.Part{ID: id, Size: int64(len(data))})
	}
	return parts, nil
}

func (s *memStore) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	if err := admitKey(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[key] != nil {
		return blob.ErrExists
	}
	o := &memObject{parts: slices.Clone(parts)}
	for _, p := range parts {
		data, ok := s.staged[key][p.ID]
		if !ok {
			return fmt.Errorf("part %d: %w", p.ID.Index(), blob.ErrPartMissing)
		}
		o.data = append(o.data, data...)
	}
	info.Metadata = maps.Clone(info.Metadata)
	o.Object = blob.Object{Key: key, Size: int64(len(o.data)), LastModified: time.Unix(1, 0), Info: info}
	s.objects[key] = o
	delete(s.staged, key)
	return nil
}

func (s *memStore) object(ctx context.Context, key string) (*memObject, error) {
	if err := admitKey(ctx, key); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if o := s.objects[key]; o != nil {
		return o, nil
	}
	return nil, blob.ErrNotFound
}

func (s *memStore) CommittedParts(ctx context.Context, key string) ([]blob.Part, error) {
	o, err := s.object(ctx, key)
	if err != nil {
		return nil, err
	}
	return slices.Clone(o.parts), nil
}

func (s *memStore) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
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
	return io.NopCloser(bytes.NewReader(o.data[offset : offset+length])), nil
}

func (s *memStore) Stat(ctx context.Context, key string) (*blob.Object, error) {
	o, err := s.object(ctx, key)
	if err != nil {
		return nil, err
	}
	copied := o.Object
	return &copied, nil
}

func (s *memStore) List(ctx context.Context, prefix string) iter.Seq2[*blob.Object, error] {
	return func(yield func(*blob.Object, error) bool) {
		s.mu.RLock()
		keys := slices.Sorted(maps.Keys(s.objects))
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

func (s *memStore) Delete(ctx context.Context, key string) error {
	if err := admitKey(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

func (s *memStore) Abort(ctx context.Context, key string) error {
	if err := admitKey(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.staged, key)
	return nil
}

func (s *memStore) Check(ctx context.Context) error { return context.Cause(ctx) }

func (s *memStore) String() string { return "mem:" }
