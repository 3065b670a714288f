package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"math/rand/v2"

	"github.com/minio/crc64nvme"

	"github.com/sitebackup/sitebackup/backup/blob"
)

const (
	// verifyBuffer is how many bytes of an object a verification holds at a time.
	verifyBuffer = 256 << 10

	// maxProblems bounds what is told of one object. Where one part is wrong by
	// mistake, all may be.
	maxProblems = 10
)

// verifier verifies one object.
type verifier struct {
	store  blob.Store
	o      *ManifestObject
	sample float64 // the share of the parts that are read; 0 or 1: all

	parts    int   // that were read
	bytes    int64 // that were read
	problems []*CorruptError
}

func (v *verifier) full() bool { return v.sample <= 0 || v.sample >= 1 || len(v.o.Parts) == 0 }

func (v *verifier) problem(part int, what string, want, got any) {
	if len(v.problems) >= maxProblems {
		return
	}
	p := &CorruptError{Provider: v.o.Provider, Key: v.o.Key, What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
	if part >= 0 {
		p.Part = &part
	}
	v.problems = append(v.problems, p)
}

// run returns an error only where nothing can be said about the object.
func (v *verifier) run(ctx context.Context) error {
	var total int64
	for i, p := range v.o.Parts {
		if p.Size < 1 || p.Size > math.MaxInt64-total {
			v.problem(i, CorruptParts, "more than 0 bytes each", p.Size)
			return nil
		}
		total += p.Size
	}
	if total != v.o.Size {
		v.problem(-1, CorruptParts, v.o.Size, total)
		return nil
	}
	stat, err := v.store.Stat(ctx, v.o.Key)
	if errors.Is(err, blob.ErrNotFound) {
		v.problem(-1, CorruptMissing, "an object", "none")
		return nil
	}
	if err != nil {
		return fmt.Errorf("find object %q: %w", v.o.Key, err)
	}
	whole, err := v.read(ctx, stat.Size)
	switch {
	case err != nil || len(v.problems) > 0:
		return err
	case stat.Size != v.o.Size: // it goes on behind its last part
		v.problem(-1, CorruptSize, v.o.Size, stat.Size)
	case v.full() && hexOf(whole) != v.o.SHA256:
		v.problem(-1, CorruptSHA256, v.o.SHA256, hexOf(whole))
	}
	return nil
}

// read reads the chosen parts as far as an object of that size has them, and
// returns the SHA-256 over what it read.
func (v *verifier) read(ctx context.Context, size int64) (_ []byte, err error) {
	r := &rangeReader{v: v}
	defer func() { err = errors.Join(err, r.close()) }()
	whole, part, buf := sha256.New(), crc64nvme.New(), make([]byte, verifyBuffer)
	chosen, offset := v.choose(), int64(0)
	for i, p := range v.o.Parts {
		if offset+p.Size > size {
			v.problem(i, CorruptSize, p.Size, max(size-offset, 0))
			break // those behind it are cut off, too
		}
		if chosen == nil || chosen[i] {
			part.Reset()
			if err := r.at(ctx, offset, p.Size); err != nil {
				return nil, err
			}
			if err := hashPart(r.body, p.Size, buf, whole, part); err != nil {
				return nil, fmt.Errorf("read object %q, part %d: %w", v.o.Key, i, err)
			}
			r.offset += p.Size
			v.parts, v.bytes = v.parts+1, v.bytes+p.Size
			if got := fmt.Sprintf("%016x", part.Sum64()); got != p.CRC64 {
				v.problem(i, CorruptCRC64, p.CRC64, got)
			}
		}
		offset += p.Size
	}
	return whole.Sum(nil), nil
}

// choose draws the parts of a sample, at least one; nil: all of them.
func (v *verifier) choose() map[int]bool {
	if v.full() {
		return nil
	}
	n := int(math.Ceil(v.sample * float64(len(v.o.Parts))))
	chosen := make(map[int]bool, n)
	for _, i := range rand.Perm(len(v.o.Parts))[:n] { //nolint:gosec // a sample is no secret
		chosen[i] = true
	}
	return chosen
}

// rangeReader reads on where it is, or opens the object elsewhere.
type rangeReader struct {
	v      *verifier
	body   io.ReadCloser
	offset int64 // of body
}

func (r *rangeReader) at(ctx context.Context, offset, length int64) error {
	if r.body != nil && r.offset == offset && r.v.full() {
		return nil
	}
	if err := r.close(); err != nil {
		return err
	}
	if r.v.full() {
		length = -1
	}
	body, err := openBounded(ctx, r.v.store, r.v.o.Key, offset, length, readTimeout)
	if err != nil {
		return fmt.Errorf("open object %q: %w", r.v.o.Key, err)
	}
	r.body, r.offset = body, offset
	return nil
}

func (r *rangeReader) close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	if err != nil {
		return fmt.Errorf("close object %q: %w", r.v.o.Key, err)
	}
	return nil
}

// hashPart reads exactly size bytes.
func hashPart(body io.Reader, size int64, buf []byte, to ...hash.Hash) error {
	for size > 0 {
		n, err := io.ReadFull(body, buf[:min(size, int64(len(buf)))])
		if err != nil {
			return err
		}
		for _, h := range to {
			_, _ = h.Write(buf[:n]) // a hash.Hash never fails
		}
		size -= int64(n)
	}
	return nil
}
