package backup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/minio/crc64nvme"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// maxManifest is the longest manifest that is read. That of an object with the
// most parts, 50,000, has less than 5 MB.
const maxManifest = 256 << 20

// verifyBuffer is how many bytes of an object VerifyManifest holds at a time.
const verifyBuffer = 256 << 10

// ReadManifest reads the manifest at key, Backup.ManifestKey, from the store.
func ReadManifest(ctx context.Context, store blob.Store, key string) (_ *Manifest, err error) {
	body, err := store.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("open manifest %q: %w", key, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	var m Manifest
	if err := json.NewDecoder(io.LimitReader(body, maxManifest)).Decode(&m); err != nil {
		return nil, fmt.Errorf("read manifest %q: %w", key, err)
	}
	if m.Version != ManifestVersion {
		return nil, fmt.Errorf("read manifest %q: its version is %d, and this release reads %d", key, m.Version, ManifestVersion)
	}
	return &m, nil
}

// VerifyManifest reads every object of m from the store, from its first byte to
// its last, and compares its length, the CRC64 of each part, and its SHA-256
// with what m says. It holds a few hundred kilobytes at a time. Its error has
// what is wrong with each object: a *blob.MismatchError names the object and the
// part.
func VerifyManifest(ctx context.Context, store blob.Store, m *Manifest) error {
	errs := make([]error, 0, len(m.Objects))
	for i := range m.Objects {
		if err := verifyObject(ctx, store, &m.Objects[i]); err != nil {
			errs = append(errs, fmt.Errorf("verify %s: %w", m.Objects[i].Provider, err))
		}
	}
	return errors.Join(errs...)
}

func verifyObject(ctx context.Context, store blob.Store, o *ManifestObject) (err error) {
	var total int64
	for _, p := range o.Parts {
		total += p.Size
	}
	if total != o.Size {
		return mismatch(o, "size of all parts", o.Size, total)
	}
	stat, err := store.Stat(ctx, o.Key)
	if err != nil {
		return fmt.Errorf("find object %q: %w", o.Key, err)
	}
	if stat.Size != o.Size {
		return mismatch(o, "size", o.Size, stat.Size)
	}
	body, err := store.Open(ctx, o.Key, 0, -1)
	if err != nil {
		return fmt.Errorf("open object %q: %w", o.Key, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return verifyBody(o, body)
}

func verifyBody(o *ManifestObject, body io.Reader) error {
	whole, part, buf := sha256.New(), crc64nvme.New(), make([]byte, verifyBuffer)
	for i, p := range o.Parts {
		part.Reset()
		if err := hashPart(body, p.Size, buf, whole, part); err != nil {
			return fmt.Errorf("read object %q, part %d: %w", o.Key, i, err)
		}
		if got := fmt.Sprintf("%016x", part.Sum64()); got != p.CRC64 {
			return mismatch(o, fmt.Sprintf("CRC64 of part %d", i), p.CRC64, got)
		}
	}
	if n, err := body.Read(buf[:1]); n > 0 || err == nil {
		return mismatch(o, "size", o.Size, "more")
	} else if err != io.EOF { // an error that wraps it is no end
		return fmt.Errorf("read object %q to its end: %w", o.Key, err)
	}
	if got := hexOf(whole.Sum(nil)); got != o.SHA256 {
		return mismatch(o, "SHA-256", o.SHA256, got)
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

func mismatch(o *ManifestObject, what string, want, got any) error {
	return &blob.MismatchError{Key: o.Key, What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
}
