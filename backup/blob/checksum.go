package blob

import (
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"

	"github.com/minio/crc64nvme"
)

// Checksum is the CRC-64/NVME of data, as Part.CRC64 holds it.
func Checksum(data []byte) uint64 { return crc64nvme.Checksum(data) }

// addChecksum is the Checksum of what sum is that of, and data behind it. It begins
// with 0.
func addChecksum(sum uint64, data []byte) uint64 { return crc64nvme.Update(sum, data) }

// digest is a hash over a whole stream whose state can be saved in between.
type digest interface {
	Write(p []byte)
	// State is the state over all that was written, in a slice of its own.
	State() ([]byte, error)
	Sum() [sha256.Size]byte
}

type sha256Digest struct {
	h    savedHash
	seen byte // of what was fetched, so that the compiler can't leave it out
}

// savedHash is what sha256.New promises of its result.
type savedHash interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// newSHA256 begins a SHA-256, or goes on from a state that State returned.
func newSHA256(state []byte) (*sha256Digest, error) {
	h, ok := sha256.New().(savedHash)
	if !ok {
		return nil, errors.New("save hash: this SHA-256 has no state to save")
	}
	if len(state) > 0 {
		if err := h.UnmarshalBinary(state); err != nil {
			return nil, fmt.Errorf("resume hash: %w", err)
		}
	}
	return &sha256Digest{h: h}, nil
}

func (d *sha256Digest) Write(p []byte) {
	for len(p) > 0 {
		piece := p[:min(len(p), hashPiece)]
		d.seen ^= fetch(piece)
		_, _ = d.h.Write(piece) // a hash.Hash never fails
		p = p[len(piece):]
	}
}

const (
	hashPiece = 128 << 10 // fits into any processor's own cache
	cacheLine = 64
)

// fetch brings p into the processor's own cache, where a part isn't any more, or was
// never, when it is its turn to be hashed. SHA-256 waits for each line of memory in
// turn, and takes half as long again for that; loads that depend on nothing are
// under way together, so that this costs less than a tenth of what it saves.
func fetch(p []byte) (seen byte) {
	for i := 0; i < len(p); i += cacheLine {
		seen ^= p[i]
	}
	return seen
}

func (d *sha256Digest) State() ([]byte, error) { return d.h.AppendBinary(nil) }

func (d *sha256Digest) Sum() [sha256.Size]byte { return [sha256.Size]byte(d.h.Sum(nil)) }
