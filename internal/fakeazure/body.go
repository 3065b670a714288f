package fakeazure

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
	"net/http"
	"sync"

	"github.com/minio/crc64nvme"
)

const (
	maxBlock = 4000 << 20
	// pieceSize is how much of a body is read at once: as much as a connection's receive
	// buffer may have, and small enough to stay in a processor's cache.
	pieceSize = 256 << 10
)

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// checksum is the one checksum that a request's body must have.
type checksum struct {
	hash hash.Hash // nil: none is to be computed
	want []byte
	err  *failure // what a difference means
}

// newChecksum reads the checksum from the header. The one the client has sent is in the answer,
// too.
func (h *Handler) newChecksum(w http.ResponseWriter, r *request) (*checksum, *failure) {
	crc, sum := r.Header.Get("X-Ms-Content-Crc64"), r.Header.Get("Content-Md5")
	c := &checksum{}
	switch {
	case crc != "" && sum != "":
		return nil, errTwoChecksums
	case crc != "":
		w.Header().Set("X-Ms-Content-Crc64", crc)
		b, err := base64.StdEncoding.DecodeString(crc)
		if err != nil || len(b) != crc64nvme.Size {
			return nil, errBadCRC
		}
		c.hash, c.err = crc64nvme.New(), errCRC
		c.want = binary.BigEndian.AppendUint64(nil, binary.LittleEndian.Uint64(b))
	case sum != "":
		w.Header().Set("Content-Md5", sum)
		b, err := base64.StdEncoding.DecodeString(sum)
		if err != nil || len(b) != md5.Size {
			return nil, errBadMD5
		}
		c.hash, c.err, c.want = md5.New(), errMD5, b
	}
	if h.opts.SkipChecksum {
		c.hash = nil
	}
	return c, nil
}

// receive reads the body of r, compares it with its checksum and returns it as a block.
func (h *Handler) receive(w http.ResponseWriter, r *request) (block, *failure) {
	size := r.ContentLength
	switch {
	case size < 0:
		return block{}, errLength
	case size > maxBlock:
		return block{}, errBlockTooLarge
	}
	sum, failed := h.newChecksum(w, r)
	if failed != nil {
		return block{}, failed
	}
	b := block{size: size}
	if !h.opts.Null {
		b.data = make([]byte, 0, size)
	}
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	for left := size; left > 0; {
		n, err := r.Body.Read(piece[:min(left, pieceSize)])
		left -= int64(n)
		if sum.hash != nil {
			_, _ = sum.hash.Write(piece[:n]) // a hash.Hash never fails
		}
		if !h.opts.Null {
			b.data = append(b.data, piece[:n]...)
		}
		if err != nil && (err != io.EOF || left > 0) {
			return block{}, errBody
		}
	}
	if sum.hash != nil && !bytes.Equal(sum.hash.Sum(nil), sum.want) {
		return block{}, sum.err
	}
	return b, nil
}
