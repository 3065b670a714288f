package blob

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrConflict means that an object of somebody else is at the key. It was
	// not touched.
	ErrConflict = errors.New("another object is at the key")

	// ErrStalled means that the source gave no byte for the stall timeout. Stage
	// returns it in a SourceError.
	ErrStalled = errors.New("source stalled")

	// ErrCursor means that a source gave a cursor that can't be kept. Stage
	// returns it in a SourceError.
	ErrCursor = fmt.Errorf("cursor must have at most %d bytes of UTF-8 without control characters", MaxCursorLen)

	// ErrTooManyParts means that a stream doesn't fit into MaxParts parts.
	ErrTooManyParts = fmt.Errorf("stream needs more than %d parts", MaxParts)
)

// SourceError means that the body given to Stage could not be read to its end.
type SourceError struct {
	Offset int64 // bytes of the whole stream that were received before
	Err    error
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("read source at byte %d: %v", e.Offset, e.Err)
}

func (e *SourceError) Unwrap() error { return e.Err }

// StoreError means that an operation of the store failed.
type StoreError struct {
	Op  string // "stage part 12", "commit object"
	Err error
}

func (e *StoreError) Error() string { return e.Op + ": " + e.Err.Error() }

func (e *StoreError) Unwrap() error { return e.Err }

// ThrottledError means that a store, or what is between, has no time for us: its
// answer was 429, 503 or the like, again and again. A Store returns it when it
// gives up waiting by itself, wrapped or not, so that the caller can put the work
// off for as long as the store wants, and need not count that as a failure.
type ThrottledError struct {
	After time.Duration // how long the store asked to wait; 0: it didn't say
	Err   error
}

func (e *ThrottledError) Error() string {
	if e.After <= 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; it asks to wait %s", e.Err, e.After)
}

func (e *ThrottledError) Unwrap() error { return e.Err }

// LimitError means that a stream is longer than UploadOptions.MaxSize.
type LimitError struct {
	Limit    int64
	Received int64 // bytes received when reading stopped, at least Limit + 1
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("stream is longer than the limit of %d bytes: %d were received", e.Limit, e.Received)
}

// MismatchError means that the object which Commit made, or found under its own
// upload id, is not what was staged. That is never a matter of trying again: the
// store, or whoever wrote to it, has broken its promise, and a person must look.
type MismatchError struct {
	Key  string
	What string // "length", "sha256", "part 12"
	Want string
	Got  string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("object %q is damaged: %s is %s, want %s", e.Key, e.What, e.Got, e.Want)
}
