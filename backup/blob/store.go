package blob

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

var (
	// ErrNotFound means that no object is visible at the key.
	ErrNotFound = errors.New("object not found")

	// ErrExists means that Commit found an object at the key already.
	ErrExists = errors.New("object exists already")

	// ErrPartMissing means that a part named in Commit isn't staged. Nothing was
	// committed.
	ErrPartMissing = errors.New("part is not staged")

	// ErrChecksum means that the bytes which reached the store don't have the
	// part's CRC64. The part isn't staged.
	ErrChecksum = errors.New("part checksum does not match")
)

// MaxParts is the most parts an object may have. It is Azure's limit.
const MaxParts = 50_000

// MaxKeyLen is the longest key in bytes. It is Azure's limit.
const MaxKeyLen = 1024

// Store is a destination of backups. Keys are slash-separated, percent-encoded
// paths of at most MaxKeyLen bytes without empty, "." or ".." segments; what
// ValidateKey refuses, a store refuses. It may also refuse a key that is a
// directory of another's, and one with a segment that ends in a dot, which Azure
// may take for the same without it: no key is made so.
//
// Its methods may be called by many goroutines and processes at once, and each
// may be called again after an error: what they did before does no harm then.
// They return as soon as ctx ends. Package blobtest checks all that is said
// here.
//
// A store may wait and try again by itself where it is asked to for seconds. When
// that is of no use, or it is asked to wait longer, it returns a ThrottledError.
type Store interface {
	// StagePart stores one part of the object key, durably and invisibly, and
	// checks data against part.CRC64 on arrival: ErrChecksum. Staging a part id
	// again replaces it. data isn't kept after the return. Part.Size is len(data)
	// and not 0.
	StagePart(ctx context.Context, key string, part Part, data []byte) error

	// StagedParts lists the parts that are staged for key and not committed, in
	// no particular order, without their CRC64. It is empty if there are none.
	// Staged parts live for at least six days after the last one was staged.
	StagedParts(ctx context.Context, key string) ([]Part, error)

	// Commit makes the object visible at once and whole: the concatenation of
	// parts, with info's content type and metadata. If an object is there
	// already, whoever made it, it returns ErrExists and changes nothing. If a
	// part isn't staged it returns ErrPartMissing. Parts that are staged but not
	// named are dropped, now or later. No parts make an empty object.
	//
	// It isn't idempotent: an answer that was lost shows as ErrExists or
	// ErrPartMissing the next time. The function Commit of this package resolves
	// that.
	Commit(ctx context.Context, key string, parts []Part, info Info) error

	// CommittedParts lists the ids and sizes of the parts that the object was
	// committed with, in order: ErrNotFound. A store that doesn't keep them
	// returns errors.ErrUnsupported.
	CommittedParts(ctx context.Context, key string) ([]Part, error)

	// Open reads length bytes of the object from offset on; length -1 reads to
	// the end: ErrNotFound. The body ends with io.EOF only when all of them were
	// read; for a range that goes beyond the object's end, Open or the body
	// returns io.ErrUnexpectedEOF. Its Read returns as soon as ctx ends, too. The
	// caller closes it.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)

	// Stat describes the object: ErrNotFound.
	Stat(ctx context.Context, key string) (*Object, error)

	// List yields the visible objects whose keys begin with prefix, in the
	// order of their keys. Metadata may be missing in what it yields. An error
	// ends the sequence.
	List(ctx context.Context, prefix string) iter.Seq2[*Object, error]

	// Delete removes the object. No object is no error, and nothing happens to
	// parts that are staged for key then.
	Delete(ctx context.Context, key string) error

	// Abort drops the parts staged for key as far as the store can do so without
	// showing anything at key; others expire by themselves. It never touches a
	// committed object.
	Abort(ctx context.Context, key string) error

	// Check finds out whether the destination is there and can be written to. Its
	// error names the destination.
	Check(ctx context.Context) error

	// String names the destination for people, without secrets:
	// "https://account.blob.core.windows.net/container", "file:///var/backups".
	String() string
}

// Signer is a Store that can give out URLs for one object which work without
// other credentials for a while.
type Signer interface {
	SignURL(ctx context.Context, key string, valid time.Duration) (string, error)
}

// Info is what is stored with an object.
type Info struct {
	ContentType string
	// Metadata: keys are lower-case letters and digits and begin with a letter,
	// values printable ASCII. The engine keeps "uploadid", "sha256" and "size" here.
	Metadata map[string]string
}

// Object describes a visible object.
type Object struct {
	Key          string
	Size         int64
	LastModified time.Time
	Info
}

// Part is a piece of an object.
type Part struct {
	ID    PartID
	Size  int64
	CRC64 uint64 // CRC-64/NVME, the polynomial that Azure uses
}

// PartID names a part among all that may ever be staged for a key: the first 8
// bytes of the upload's id, the first 8 bytes of the lease token of the worker
// that staged it, and its index, big-endian. Two workers never stage the same
// id, so a zombie can't change a part that somebody else listed.
type PartID [20]byte

// NewPartID makes the id of part index (from 0).
func NewPartID(upload, token [16]byte, index int) PartID {
	var id PartID
	copy(id[0:8], upload[:8])
	copy(id[8:16], token[:8])
	binary.BigEndian.PutUint32(id[16:], uint32(index)) //nolint:gosec // index < MaxParts
	return id
}

// Index is the part's position in its object, from 0.
func (id PartID) Index() int { return int(binary.BigEndian.Uint32(id[16:])) }

// partIDEncoding is strict: an id has one spelling only.
var partIDEncoding = base64.RawURLEncoding.Strict()

// String is the id in unpadded URL-safe base64, 27 characters.
func (id PartID) String() string { return partIDEncoding.EncodeToString(id[:]) }

// ParsePartID reads what String wrote.
func ParsePartID(s string) (PartID, error) {
	var id PartID
	b, err := partIDEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) || len(s) != partIDEncoding.EncodedLen(len(id)) {
		return id, fmt.Errorf("parse part id %q: want 27 characters of URL-safe base64", s)
	}
	copy(id[:], b)
	return id, nil
}
