package backup

import (
	"fmt"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// What a CorruptError can say differs.
const (
	CorruptMissing  = "missing"           // there is no object
	CorruptSize     = "size"              // in bytes
	CorruptParts    = "size of all parts" // the manifest contradicts itself
	CorruptCRC64    = "CRC64"             // of a part
	CorruptSHA256   = "SHA-256"           // of the whole object
	CorruptManifest = "manifest"          // it isn't the one that was written
)

// CorruptError is damage that a verification has found in the store.
type CorruptError struct {
	Provider string `json:"provider,omitempty"` // empty: it is the manifest
	Key      string `json:"object"`             // in the store
	Part     *int   `json:"part,omitempty"`     // its index, from 0; nil: not one part
	What     string `json:"what"`
	Want     string `json:"want"`
	Got      string `json:"got"`
}

func (e *CorruptError) Error() string {
	who := e.Provider
	if who == "" {
		who = "manifest"
	}
	return fmt.Sprintf("verify %s: %s", who, e.cause())
}

// Unwrap is a *blob.MismatchError, or blob.ErrNotFound.
func (e *CorruptError) Unwrap() error {
	if e.What == CorruptMissing {
		return blob.ErrNotFound
	}
	return e.mismatch()
}

func (e *CorruptError) cause() error {
	if e.What == CorruptMissing {
		return fmt.Errorf("find object %q: %w", e.Key, blob.ErrNotFound)
	}
	return e.mismatch()
}

func (e *CorruptError) mismatch() *blob.MismatchError {
	what := e.What
	if e.Part != nil {
		what = fmt.Sprintf("%s of part %d", what, *e.Part)
	}
	return &blob.MismatchError{Key: e.Key, What: what, Want: e.Want, Got: e.Got}
}
