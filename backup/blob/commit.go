package blob

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Keys of the metadata that the engine keeps with each object.
const (
	metaUpload = "uploadid" // 32 hexadecimal digits
	metaSHA256 = "sha256"   // 64 hexadecimal digits
	metaSize   = "size"     // decimal
)

// Commit makes content, which Stage returned, visible at key, and then compares
// what the store says about the object with it.
//
// It may be called again after any error, also by another process, with the same
// arguments: if the object is there and carries this upload's id, an answer was
// lost and Commit goes on to compare. Its errors are ErrConflict when an object
// of somebody else is at key, or one that the same upload has committed with
// other parts, which takes a journal that was restored from an older copy;
// ErrPartMissing when neither the object nor the parts are there, so that the
// upload must start over; a MismatchError when the object isn't what was staged;
// and a StoreError that may pass.
func Commit(ctx context.Context, store Store, key string, uploadID [16]byte, content *Content, contentType string) error {
	want := Info{ContentType: contentType, Metadata: content.metadata(uploadID)}
	err := store.Commit(ctx, key, content.Parts, want)
	lost := errors.Is(err, ErrExists) || errors.Is(err, ErrPartMissing)
	if err != nil && !lost {
		return &StoreError{Op: "commit object", Err: err}
	}
	obj, listed, statErr := look(ctx, store, key)
	defer listed.cancel()
	switch {
	case errors.Is(statErr, ErrNotFound) && errors.Is(err, ErrPartMissing):
		return fmt.Errorf("commit object %q: %w", key, err)
	case statErr != nil:
		return &StoreError{Op: "check committed object", Err: statErr}
	case obj.Metadata[metaUpload] == want.Metadata[metaUpload]:
		err := prove(obj, listed, content, want)
		if bad := new(MismatchError); lost && errors.As(err, &bad) && consistent(obj) {
			return fmt.Errorf("commit object %q: %w: the same upload has committed something else, before the journal was set back: %w", key, ErrConflict, err)
		}
		return err
	case lost:
		return fmt.Errorf("commit object %q: %w", key, ErrConflict)
	default:
		return mismatch(key, metaUpload, want.Metadata[metaUpload], obj.Metadata[metaUpload])
	}
}

// listing is the question of which parts an object consists of.
type listing struct {
	cancel func() // ends it, and returns when it has ended
	wait   func() ([]Part, error)
}

// look asks for an object and, at the same time, for its parts: each answer takes
// a round trip, and neither is needed to ask for the other.
func look(ctx context.Context, store Store, key string) (*Object, *listing, error) {
	ctx, cancel := context.WithCancel(ctx)
	var parts []Part
	var err error
	var asked sync.WaitGroup
	asked.Go(func() { parts, err = store.CommittedParts(ctx, key) })
	l := &listing{
		cancel: func() { cancel(); asked.Wait() },
		wait:   func() ([]Part, error) { asked.Wait(); return parts, err },
	}
	obj, statErr := store.Stat(ctx, key)
	return obj, l, statErr
}

// consistent reports whether an object is as long as its own metadata says.
func consistent(obj *Object) bool {
	return obj.Metadata[metaSize] == strconv.FormatInt(obj.Size, 10)
}

func (c *Content) metadata(uploadID [16]byte) map[string]string {
	return map[string]string{
		metaUpload: hex.EncodeToString(uploadID[:]),
		metaSHA256: hex.EncodeToString(c.SHA256[:]),
		metaSize:   strconv.FormatInt(c.Size, 10),
	}
}

// prove compares obj, which this upload has committed, and the parts that it is
// said to have, with what was staged.
func prove(obj *Object, listed *listing, content *Content, want Info) error {
	for _, key := range []string{metaSHA256, metaSize} {
		if got := obj.Metadata[key]; got != want.Metadata[key] {
			return mismatch(obj.Key, key, want.Metadata[key], got)
		}
	}
	if obj.Size != content.Size {
		return mismatch(obj.Key, "length", want.Metadata[metaSize], strconv.FormatInt(obj.Size, 10))
	}
	parts, err := listed.wait()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return &StoreError{Op: "check committed parts", Err: err}
	}
	if len(parts) != len(content.Parts) {
		return mismatch(obj.Key, "number of parts", strconv.Itoa(len(content.Parts)), strconv.Itoa(len(parts)))
	}
	for i, w := range content.Parts {
		if g := parts[i]; !bytes.Equal(g.ID[:], w.ID[:]) || g.Size != w.Size {
			return mismatch(obj.Key, fmt.Sprintf("part %d", i), describe(w), describe(g))
		}
	}
	return nil
}

func describe(p Part) string { return fmt.Sprintf("%s of %d bytes", p.ID, p.Size) }

func mismatch(key, what, want, got string) error {
	return &MismatchError{Key: key, What: what, Want: want, Got: got}
}

// staleAfter is how long after the last part was staged an upload may go on. The
// rest of the week that Azure keeps parts is for an attempt that comes to nothing,
// and for clocks.
const staleAfter = 6 * 24 * time.Hour

// Resumable finds out whether the store still has every part of c staged for
// key, so that Stage may go on behind it. A checkpoint of no parts, or none, is
// always good; one whose StagedAt is six days ago isn't, whatever the store says.
func Resumable(ctx context.Context, store Store, key string, c *Checkpoint) (bool, error) {
	if c == nil || len(c.Parts) == 0 {
		return true, nil
	}
	if !c.StagedAt.IsZero() && now().Sub(c.StagedAt) >= staleAfter {
		return false, nil
	}
	staged, err := store.StagedParts(ctx, key)
	if err != nil {
		return false, &StoreError{Op: "list staged parts", Err: err}
	}
	sizes := make(map[PartID]int64, len(staged))
	for _, p := range staged {
		sizes[p.ID] = p.Size
	}
	for _, p := range c.Parts {
		if size, ok := sizes[p.ID]; !ok || size != p.Size {
			return false, nil
		}
	}
	return true, nil
}
