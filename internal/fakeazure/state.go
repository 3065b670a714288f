package fakeazure

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// state is what is stored. One lock is enough: bodies are read before it is taken.
type state struct {
	mu         sync.Mutex
	containers map[string]*container
	etags      atomic.Int64
}

type container struct {
	etag     string
	modified time.Time
	blobs    map[string]*blob
}

// blob is all there is of a name: what is committed, what isn't yet, or both.
type blob struct {
	committed *object          // nil if there is none
	staged    map[string]block // by id
}

// block is a block's length, and its bytes unless they aren't kept.
type block struct {
	id   string
	size int64
	data []byte
}

// object is a blob that can be read. It isn't changed once it is there.
type object struct {
	etag        string
	modified    time.Time
	contentType string
	metadata    map[string]string // by lower-case name
	blocks      []block
	whole       bool // put at once, without a block list
	size        int64
}

// create adds a container, unless it is there. The caller holds the lock, or is the only one.
func (s *state) create(name string) bool {
	if s.containers[name] != nil {
		return false
	}
	s.containers[name] = &container{etag: s.newETag(), modified: systemTime(), blobs: make(map[string]*blob)}
	return true
}

func (s *state) newETag() string { return fmt.Sprintf(`"0x%016X"`, s.etags.Add(1)) }

// find returns the container and the blob that r names. The blob is an empty one that isn't
// stored yet if nothing is there.
func (s *state) find(r *request) (*container, *blob, *failure) {
	c := s.containers[r.container]
	if c == nil {
		return nil, nil, errContainerNotFound
	}
	b := c.blobs[r.blob]
	if b == nil {
		b = &blob{staged: make(map[string]block)}
	}
	return c, b, nil
}

// commit makes o the blob, and drops the blocks that were staged.
func (s *state) commit(c *container, r *request, b *blob, o *object) {
	o.etag, o.modified = s.newETag(), systemTime()
	b.committed = o
	clear(b.staged)
	c.blobs[r.blob] = b
}

// read returns the committed blob that r names, if r's conditions hold.
func (s *state) read(r *request) (*object, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, b, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if b.committed == nil {
		return nil, errBlobNotFound
	}
	return b.committed, r.checkRead(b.committed)
}
