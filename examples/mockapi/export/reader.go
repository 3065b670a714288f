package export

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Reader gives the bytes of one export. It is not for use by several
// goroutines at once.
type Reader struct {
	block  cipher.Block
	stream cipher.Stream // stands at off; nil after a Seek
	off    int64
	size   int64
	err    error // why there is no block
}

// NewReader returns a reader of the export that a handler with o serves for the
// two ids.
func NewReader(o Options, userID, siteID string) *Reader {
	key := contentKey(o, userID, siteID)
	block, err := aes.NewCipher(key[:16])
	return &Reader{block: block, size: o.Size, err: err}
}

// Read reads the next bytes. The noise is AES in counter mode over zeros: fast,
// and block n can be computed without block n-1.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.off >= r.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.off)]
	if r.stream == nil {
		r.stream = r.streamAt(r.off)
	}
	clear(p)
	r.stream.XORKeyStream(p, p)
	r.off += int64(len(p))
	return len(p), nil
}

// Seek sets where the next Read begins, as io.Seeker says.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, fmt.Errorf("seek export: unknown whence %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("seek export: negative position")
	}
	if offset != r.off {
		r.off, r.stream = offset, nil
	}
	return offset, nil
}

func (r *Reader) streamAt(off int64) cipher.Stream {
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[8:], uint64(off/aes.BlockSize))
	stream := cipher.NewCTR(r.block, counter[:])
	var skip [aes.BlockSize]byte
	stream.XORKeyStream(skip[:off%aes.BlockSize], skip[:off%aes.BlockSize])
	return stream
}

// SHA256 returns the digest of the export that NewReader reads.
func SHA256(o Options, userID, siteID string) [sha256.Size]byte {
	h := sha256.New()
	// Neither this reader nor a hash returns an error.
	_, _ = io.Copy(h, NewReader(o, userID, siteID))
	return [sha256.Size]byte(h.Sum(nil))
}

// contentKey is different for any two contents. The quotes keep the parts apart.
func contentKey(o Options, userID, siteID string) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %d", o.Name, userID, siteID, o.Seed, o.Version))
}

// etag is different for any two exports, and the same for equal ones.
func etag(o Options, userID, siteID string) string {
	key := contentKey(o, userID, siteID)
	return fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(key[16:24]), o.Size)
}
