package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
)

// putTries bounds how often Put starts over when others write to its key.
const putTries = 3

// Put writes data as the object key, in one part. If an object is there already
// Put succeeds when that has the same bytes, so that it may be called again, and
// returns ErrConflict when it has others.
//
// confirm, unless it is nil, is asked between staging and committing whether the
// object is still wanted; its error ends Put. Whoever commits at the key, and then
// perhaps deletes the object, takes away what was staged before; and confirm is to
// see that where it happened before the staging. So a process that slept through
// both can't bring the object back.
func Put(ctx context.Context, store Store, key string, data []byte, contentType string, confirm func(context.Context) error) error {
	if int64(len(data)) > maxPartSize {
		return fmt.Errorf("put object %q: %d bytes don't fit into one part", key, len(data))
	}
	err := error(nil)
	for range putTries {
		var upload [16]byte
		_, _ = rand.Read(upload[:]) // it never fails
		content, stageErr := stageOnce(ctx, store, key, upload, data)
		if content == nil || stageErr != nil {
			return stageErr
		}
		if confirm != nil {
			if err := confirm(ctx); err != nil {
				return fmt.Errorf("put object %q: %w", key, err)
			}
		}
		err = Commit(ctx, store, key, upload, content, contentType)
		// Who committed between our staging and our commit took our part away, or
		// was faster: look again.
		if !errors.Is(err, ErrPartMissing) && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// present finds out whether the object is there with content.
func present(ctx context.Context, store Store, key string, content *Content) (bool, error) {
	obj, err := store.Stat(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, &StoreError{Op: "look for object", Err: err}
	}
	if obj.Size != content.Size || obj.Metadata[metaSHA256] != hex.EncodeToString(content.SHA256[:]) {
		return false, fmt.Errorf("put object %q: %w", key, ErrConflict)
	}
	return true, nil
}

// stageOnce stages data, and looks meanwhile whether the object is there. As a rule
// it isn't, and a round trip is saved. If it is, there is nothing to commit: it
// returns nil, and drops what was staged for nothing.
func stageOnce(ctx context.Context, store Store, key string, upload [16]byte, data []byte) (*Content, error) {
	content := &Content{Size: int64(len(data)), SHA256: sha256.Sum256(data)}
	staging, cancel := context.WithCancel(ctx)
	defer cancel()
	var staged error
	var work sync.WaitGroup
	if len(data) > 0 {
		var token [16]byte
		_, _ = rand.Read(token[:])
		part := Part{ID: NewPartID(upload, token, 0), Size: content.Size, CRC64: Checksum(data)}
		content.Parts = []Part{part}
		work.Go(func() { staged = store.StagePart(staging, key, part, data) })
	}
	there, err := present(ctx, store, key, content)
	if there || err != nil {
		cancel()
	}
	work.Wait()
	switch {
	case there || errors.Is(err, ErrConflict):
		_ = store.Abort(ctx, key) // else it expires
		return nil, err
	case err != nil:
		return nil, err
	case staged != nil:
		return nil, &StoreError{Op: "stage object", Err: staged}
	}
	return content, nil
}
