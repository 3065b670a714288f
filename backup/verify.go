package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// maxManifest is the longest manifest that is read. That of an object with the
// most parts, 50,000, has less than 5 MB.
const maxManifest = 256 << 20

// ReadManifest reads the manifest at key, Backup.ManifestKey, from the store.
func ReadManifest(ctx context.Context, store blob.Store, key string) (*Manifest, error) {
	data, err := readManifest(ctx, store, key, maxManifest)
	if err != nil {
		return nil, err
	}
	return parseManifest(key, data)
}

// readManifest reads most bytes of it at most.
func readManifest(ctx context.Context, store blob.Store, key string, most int64) (data []byte, err error) {
	body, err := openBounded(ctx, store, key, 0, -1, readTimeout)
	if err != nil {
		return nil, fmt.Errorf("open manifest %q: %w", key, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if data, err = io.ReadAll(io.LimitReader(body, most)); err != nil { //nolint:forbidigo // bounded, and compared as a whole
		return nil, fmt.Errorf("read manifest %q: %w", key, err)
	}
	return data, nil
}

func parseManifest(key string, data []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
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
// what is wrong with each object: a *CorruptError names the provider, the object
// and the part.
func VerifyManifest(ctx context.Context, store blob.Store, m *Manifest) error {
	var errs []error
	for i := range m.Objects {
		o := &m.Objects[i]
		v := &verifier{store: store, o: o}
		if err := v.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("verify %s: %w", o.Provider, err))
		}
		for _, p := range v.problems {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}
