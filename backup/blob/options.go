package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// UploadOptions says how Stage uploads. UploadID and Token are required.
type UploadOptions struct {
	// UploadID names the upload, in part ids and in the object's metadata. An
	// attempt that goes on behind a checkpoint keeps the id, one that starts over
	// takes a new one. It must not be zero.
	UploadID [16]byte

	// Token is the lease token of the worker, and different in each attempt. It
	// must not be zero.
	Token [16]byte

	// PartSize is the size of the first 10,000 parts in bytes, between 64 KiB and
	// 4000 MiB. It doubles every 10,000 parts. Defaults to 8 MiB.
	PartSize int64

	// Concurrency is how many parts are staged at once, between 1 and 64. Parts
	// that have grown to 16 MiB are staged by two, larger ones one at a time. The
	// upload holds at most max(PartSize × (Concurrency + 1), 2 × part) bytes of
	// buffers. Defaults to 4.
	Concurrency int

	// Buffers is where the memory for parts comes from, shared by all uploads of
	// a process. Defaults to a pool of the upload's own.
	Buffers *Buffers

	// Resume is what earlier attempts journaled: the whole list of parts, not
	// only the last call's. body then begins at Resume.Offset. Nil begins at 0.
	Resume *Checkpoint

	// Cursor is for a source that can't go on behind any byte, but only at marks
	// of its own, such as the ends of its pages. It is called after each Read of
	// body that hasn't failed, by the goroutine that reads, and returns what the
	// source needs to go on exactly behind the last byte that was read, or "" if
	// that is no such place. A Read must not go beyond a mark. Parts then end at
	// marks where they can, and every Checkpoint does; what is staged behind the
	// last mark waits for the next one. A cursor is at most MaxCursorLen bytes of
	// valid UTF-8 without control characters: ErrCursor.
	//
	// Nil: the source can go on behind any byte.
	Cursor func() string

	// Journal is called with what is safely staged and hashed without a gap. Its
	// Parts are only those that no call before has had. Calls never overlap, and
	// a slow one holds up the stream only when JournalBytes and half a window of
	// buffers wait for it. It is called when JournalBytes less half a window (of 64
	// MiB and by default, 44) more are safe, or JournalInterval has passed since the
	// last call and something is new; and once more when Stage ends with an error, so that nothing staged is
	// lost. Not at the end of a whole stream: Content has it all.
	//
	// Its error ends the upload, and Journal isn't called again. Its ctx outlives
	// that of Stage: by 5 seconds after the upload has failed or was canceled.
	Journal         func(ctx context.Context, c *Checkpoint) error
	JournalBytes    int64         // Defaults to 64 MiB.
	JournalInterval time.Duration // Defaults to 2 seconds.

	// MaxSize is the most bytes the stream may have, what was staged before
	// included; 0 sets no limit. Reading stops at MaxSize + 1 bytes with a
	// LimitError.
	MaxSize int64

	// StallTimeout ends the upload with ErrStalled when a Read of the body waits
	// for so long and brings nothing. Time spent waiting for the store or for
	// memory doesn't count. 0 sets none.
	StallTimeout time.Duration

	// Progress is called after each Read with the bytes received, Resume.Offset
	// included. It must be quick and may be nil.
	Progress func(received int64)
}

// Checkpoint is a prefix of a stream that is safely staged: parts without a gap,
// and the state of the hash over them.
type Checkpoint struct {
	Parts  []Part
	Offset int64  // where the stream goes on: the sum of the sizes of all parts from the first
	SHA256 []byte // state of the SHA-256 over the stream up to Offset

	// Cursor is what UploadOptions.Cursor returned at Offset. It is empty where
	// that is nil.
	Cursor string

	// StagedAt is when the last of Parts was staged, an hour more or less, or zero
	// if nobody knows. Stage doesn't set it: whoever keeps the checkpoint has a
	// clock that all workers share. Resumable reads it.
	StagedAt time.Time
}

// Content is a whole stream that is staged.
type Content struct {
	Parts  []Part
	Size   int64
	SHA256 [32]byte
}

const (
	defaultPartSize     = 8 * mib
	defaultConcurrency  = 4
	maxConcurrency      = 64
	defaultJournalBytes = 64 * mib
	defaultJournalEvery = 2 * time.Second
)

// withDefaults returns a copy with defaults filled in, or what is wrong.
func (o *UploadOptions) withDefaults() (*UploadOptions, error) {
	if o == nil {
		return nil, errors.New("options must not be nil")
	}
	c := *o
	if c.PartSize == 0 {
		c.PartSize = defaultPartSize
	}
	if c.Concurrency == 0 {
		c.Concurrency = defaultConcurrency
	}
	if c.JournalBytes == 0 {
		c.JournalBytes = defaultJournalBytes
	}
	if c.JournalInterval == 0 {
		c.JournalInterval = defaultJournalEvery
	}
	if c.Buffers == nil {
		c.Buffers = NewBuffers(0)
	}
	if c.Resume == nil {
		c.Resume = &Checkpoint{}
	}
	return &c, c.validate()
}

func (o *UploadOptions) validate() error {
	switch {
	case o.UploadID == [16]byte{}:
		return errors.New("UploadID must not be zero")
	case o.Token == [16]byte{}:
		return errors.New("Token must not be zero")
	case o.PartSize < minPartSize || o.PartSize > maxPartSize:
		return fmt.Errorf("PartSize is %d bytes, must be between 64 KiB and 4000 MiB", o.PartSize)
	case o.Concurrency < 1 || o.Concurrency > maxConcurrency:
		return fmt.Errorf("Concurrency is %d, must be between 1 and %d", o.Concurrency, maxConcurrency)
	case o.JournalBytes < 0:
		return errors.New("JournalBytes must not be negative")
	case o.JournalInterval < 0:
		return errors.New("JournalInterval must not be negative")
	case o.MaxSize < 0:
		return errors.New("MaxSize must not be negative")
	case o.StallTimeout < 0:
		return errors.New("StallTimeout must not be negative")
	}
	if err := o.Resume.validate(o.UploadID); err != nil {
		return err
	}
	if o.Cursor != nil && len(o.Resume.Parts) > 0 && o.Resume.Cursor == "" {
		return errors.New("Resume.Cursor is missing: the source can't go on at Resume.Offset")
	}
	return nil
}

// validate checks that c is the whole list of an upload's parts. Going on from a
// part of it would make an object with a hole.
func (c *Checkpoint) validate(upload [16]byte) error {
	if len(c.Parts) > MaxParts {
		return fmt.Errorf("Resume has %d parts: %w", len(c.Parts), ErrTooManyParts)
	}
	var sum int64
	for i, p := range c.Parts {
		switch {
		case !bytes.Equal(p.ID[:8], upload[:8]):
			return fmt.Errorf("Resume.Parts[%d] belongs to another upload", i)
		case p.ID.Index() != i:
			return fmt.Errorf("Resume.Parts[%d] has the index %d: parts are missing or out of order", i, p.ID.Index())
		case p.Size <= 0:
			return fmt.Errorf("Resume.Parts[%d] has %d bytes", i, p.Size)
		}
		sum += p.Size
	}
	switch {
	case sum != c.Offset:
		return fmt.Errorf("Resume.Offset is %d, its parts have %d bytes", c.Offset, sum)
	case sum > 0 && len(c.SHA256) == 0:
		return errors.New("Resume.SHA256 is missing")
	case sum == 0 && c.Cursor != "":
		return errors.New("Resume.Cursor is set, and no part is before it")
	}
	return checkCursor(c.Cursor)
}
