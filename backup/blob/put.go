package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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
		var done bool
		if done, err = present(ctx, store, key, data); done || err != nil {
			return err
		}
		err = putOnce(ctx, store, key, data, contentType, confirm)
		// Who committed between our staging and our commit took our part away, or
		// was faster: look again.
		if !errors.Is(err, ErrPartMissing) && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// present finds out whether the object is there with the bytes data.
func present(ctx context.Context, store Store, key string, data []byte) (bool, error) {
	obj, err := store.Stat(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, &StoreError{Op: "look for object", Err: err}
	}
	sum := sha256.Sum256(data)
	if obj.Size != int64(len(data)) || obj.Metadata[metaSHA256] != hex.EncodeToString(sum[:]) {
		return false, fmt.Errorf("put object %q: %w", key, ErrConflict)
	}
	return true, nil
}

func putOnce(ctx context.Context, store Store, key string, data []byte, contentType string, confirm func(context.Context) error) error {
	var upload, token [16]byte
	_, _ = rand.Read(upload[:]) // it never fails
	_, _ = rand.Read(token[:])
	content := &Content{Size: int64(len(data)), SHA256: sha256.Sum256(data)}
	if len(data) > 0 {
		part := Part{ID: NewPartID(upload, token, 0), Size: content.Size, CRC64: Checksum(data)}
		if err := store.StagePart(ctx, key, part, data); err != nil {
			return &StoreError{Op: "stage object", Err: err}
		}
		content.Parts = []Part{part}
	}
	if confirm != nil {
		if err := confirm(ctx); err != nil {
			return fmt.Errorf("put object %q: %w", key, err)
		}
	}
	return Commit(ctx, store, key, upload, content, contentType)
}
