package httpexport

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"net/http"

	"github.com/dunglas/httpsfv"
)

// digests are those of a digest field that say something: nil if not given.
type digests struct {
	sha256, sha512 []byte
}

// parseDigests reads a Content-Digest or Repr-Digest field (RFC 9530 §2, §3).
// What isn't a valid structured field is as good as none (RFC 9651 §4.2), and
// other algorithms are passed over: those registered besides are broken, or
// checksums. A digest of the wrong length is an error: nothing could match it.
func parseDigests(field []string) (digests, error) {
	var d digests
	dict, err := httpsfv.UnmarshalDictionary(field)
	if err != nil {
		return d, nil //nolint:nilerr // as good as none
	}
	if d.sha256, err = digestOf(dict, "sha-256", sha256.Size); err != nil {
		return digests{}, err
	}
	d.sha512, err = digestOf(dict, "sha-512", sha512.Size)
	return d, err
}

func digestOf(dict *httpsfv.Dictionary, algorithm string, size int) ([]byte, error) {
	member, ok := dict.Get(algorithm)
	if !ok {
		return nil, nil
	}
	item, _ := member.(httpsfv.Item)
	if sum, ok := item.Value.([]byte); ok && len(sum) == size {
		return sum, nil
	}
	return nil, fmt.Errorf("its %s digest is not %d bytes", algorithm, size)
}

// digester computes the digests that a response asks for, over its body.
//
// The engine hashes the whole export with SHA-256 anyway, so that a sha-256
// Repr-Digest is left to it, unless the body is a page.
type digester struct {
	resp           *http.Response
	whole          bool      // the body is the whole export, so that both fields cover it
	page           bool      // it is a page of it, which nobody else hashes
	sha256, sha512 hash.Hash // nil if not needed
}

func newDigester(resp *http.Response, whole, page bool) (*digester, error) {
	content, err1 := parseDigests(resp.Header.Values("Content-Digest"))
	repr, err2 := parseDigests(resp.Header.Values("Repr-Digest"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	// A trailer is announced without saying which algorithm is coming.
	_, contentTrailer := resp.Trailer["Content-Digest"]
	_, reprTrailer := resp.Trailer["Repr-Digest"]
	d := &digester{resp: resp, whole: whole, page: page}
	if content.sha256 != nil || contentTrailer || page {
		d.sha256 = sha256.New()
	}
	if content.sha512 != nil || contentTrailer || whole && (repr.sha512 != nil || reprTrailer) {
		d.sha512 = sha512.New()
	}
	return d, nil
}

// announced returns the sha-256 of the whole export that the header gives, or nil.
func (d *digester) announced() []byte {
	if d.page {
		return nil
	}
	repr, _ := parseDigests(d.resp.Header.Values("Repr-Digest")) // newDigester has read both
	content, _ := parseDigests(d.resp.Header.Values("Content-Digest"))
	if repr.sha256 == nil && d.whole {
		return content.sha256
	}
	return repr.sha256
}

// Write never returns an error.
func (d *digester) Write(p []byte) (int, error) {
	if d.sha256 != nil {
		d.sha256.Write(p)
	}
	if d.sha512 != nil {
		d.sha512.Write(p)
	}
	return len(p), nil
}

// verdict is what the digests of a response say of its body.
type verdict struct {
	checked bool   // one was computed over the whole export, and matched
	sha256  []byte // the source's digest of the whole export, unchecked; or nil
}

// end compares the digests after the last byte, when trailers are there.
func (d *digester) end() (verdict, error) {
	var v verdict
	for _, header := range []http.Header{d.resp.Header, d.resp.Trailer} {
		content, err := parseDigests(header.Values("Content-Digest"))
		if err != nil {
			return verdict{}, fmt.Errorf("compare Content-Digest: %w", err)
		}
		repr, err := parseDigests(header.Values("Repr-Digest"))
		if err != nil {
			return verdict{}, fmt.Errorf("compare Repr-Digest: %w", err)
		}
		if d.whole && d.sha256 == nil && repr.sha256 == nil {
			// It came in a trailer that was not announced. Over the whole export both
			// fields have the same value.
			repr.sha256 = content.sha256
		}
		if err := d.compare(&v, content, repr); err != nil {
			return verdict{}, err
		}
	}
	if d.page && v.sha256 != nil {
		if got := d.sha256.Sum(nil); !bytes.Equal(got, v.sha256) {
			return verdict{}, fmt.Errorf("compare Repr-Digest sha-256: expected %x, got %x", v.sha256, got)
		}
		v = verdict{checked: true}
	}
	return v, nil
}

func (d *digester) compare(v *verdict, content, repr digests) error {
	type pair struct {
		name string
		want []byte
		hash hash.Hash
	}
	pairs := []pair{{"Content-Digest sha-256", content.sha256, d.sha256}, {"Content-Digest sha-512", content.sha512, d.sha512}}
	if d.whole {
		pairs = append(pairs, pair{"Repr-Digest sha-512", repr.sha512, d.sha512})
	}
	for _, p := range pairs {
		if p.want == nil || p.hash == nil {
			continue
		}
		if got := p.hash.Sum(nil); !bytes.Equal(got, p.want) {
			return fmt.Errorf("compare %s: expected %x, got %x", p.name, p.want, got)
		}
		v.checked = d.whole
	}
	if repr.sha256 == nil {
		return nil
	}
	if v.sha256 != nil && !bytes.Equal(v.sha256, repr.sha256) {
		return fmt.Errorf("compare Repr-Digest sha-256: the header says %x, the trailer %x", v.sha256, repr.sha256)
	}
	v.sha256 = repr.sha256
	return nil
}
