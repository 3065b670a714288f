package blob

import (
	"crypto/sha256"
	"encoding"
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
	State() []byte
	Sum() [sha256.Size]byte
}

type sha256Digest struct{ h hash.Hash }

// newSHA256 begins a SHA-256, or goes on from a state that State returned.
func newSHA256(state []byte) (*sha256Digest, error) {
	h := sha256.New()
	if state == nil {
		return &sha256Digest{h}, nil
	}
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, fmt.Errorf("resume hash: %T can't be resumed", h)
	}
	if err := u.UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("resume hash: %w", err)
	}
	return &sha256Digest{h}, nil
}

func (d *sha256Digest) Write(p []byte) { _, _ = d.h.Write(p) } // a hash.Hash never fails

func (d *sha256Digest) State() []byte {
	m, ok := d.h.(encoding.BinaryAppender)
	if !ok {
		return nil
	}
	state, err := m.AppendBinary(nil)
	if err != nil {
		return nil
	}
	return state
}

func (d *sha256Digest) Sum() [sha256.Size]byte {
	return [sha256.Size]byte(d.h.Sum(nil))
}
