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

// digest is a hash over a whole stream whose state can be saved in between.
type digest interface {
	Write(p []byte)
	// State is the state over all that was written, in a slice of its own.
	State() ([]byte, error)
	Sum() [sha256.Size]byte
}

type sha256Digest struct{ h savedHash }

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
	return &sha256Digest{h}, nil
}

func (d *sha256Digest) Write(p []byte) { _, _ = d.h.Write(p) } // a hash.Hash never fails

func (d *sha256Digest) State() ([]byte, error) { return d.h.AppendBinary(nil) }

func (d *sha256Digest) Sum() [sha256.Size]byte { return [sha256.Size]byte(d.h.Sum(nil)) }
