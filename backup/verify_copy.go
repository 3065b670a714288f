package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// VerifyParams say how much of a copy is read.
type VerifyParams struct {
	// Sample is the share of each object's parts that are read, drawn at random, at
	// least one; lengths are always compared. 0 and 1 mean everything, and the
	// SHA-256 of the whole with it.
	Sample float64
}

func (p VerifyParams) validate() error {
	if !(p.Sample >= 0 && p.Sample <= 1) { // also not a number
		return &FieldError{"sample", "must be between 0 and 1"}
	}
	return nil
}

// Verification is what a verification has found.
type Verification struct {
	FinishedAt time.Time       `json:"finishedAt,omitzero"` // when that was recorded
	Sample     float64         `json:"sample"`              // as in VerifyParams; 1: everything
	Objects    int             `json:"objects"`
	Parts      int             `json:"parts"` // that were read
	Bytes      int64           `json:"bytes"` // that were read
	Problems   []*CorruptError `json:"problems,omitempty"`

	// Failure is why nothing could be said, as when the store is away for good.
	Failure *Failure `json:"error,omitempty"`
}

// Err is nil where nothing is wrong, and else has a *CorruptError for each
// problem.
func (v *Verification) Err() error {
	errs := make([]error, len(v.Problems))
	for i, p := range v.Problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// VerifyCopy reads a backup's copy from the store and compares it with its
// manifest. The store is all it needs, so it works without a database: key is the
// manifest's, Backup.ManifestKey. Where trusted is not nil it has the manifest's
// bytes from elsewhere: another manifest in the store is a problem then, and the
// objects are compared with the trusted one. It holds a few hundred kilobytes at
// a time, beside the manifest. What is damaged is in the Verification; an error
// means that nothing can be said.
//
// Without a trusted manifest it sees whatever contradicts the manifest, or makes the
// manifest contradict itself or the place that it is in. It can't see that a manifest
// and all that it names were replaced together, by an older copy of the same backup for
// example, or that an export was taken out of the manifest: only the database knows.
func VerifyCopy(ctx context.Context, store blob.Store, key string, trusted []byte, p VerifyParams) (*Verification, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	v := &Verification{Sample: p.Sample}
	if p.Sample == 0 {
		v.Sample = 1
	}
	m, err := v.manifest(ctx, store, key, trusted)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return v, nil
	}
	for i := range m.Objects {
		o := &verifier{store: store, o: &m.Objects[i], sample: p.Sample}
		if err := o.run(ctx); err != nil {
			return nil, fmt.Errorf("verify %s: %w", o.o.Provider, err)
		}
		v.Objects, v.Parts, v.Bytes = v.Objects+1, v.Parts+o.parts, v.Bytes+o.bytes
		v.Problems = append(v.Problems, o.problems...)
	}
	return v, nil
}

// manifest is the one to compare with, or nil where there is none.
func (v *Verification) manifest(ctx context.Context, store blob.Store, key string, trusted []byte) (*Manifest, error) {
	most := int64(maxManifest)
	if trusted != nil { // a byte more tells that it is another one
		most = int64(len(trusted)) + 1
	}
	data, err := readManifest(ctx, store, key, most)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		v.bad(key, CorruptMissing, "a manifest", "none")
		if data = trusted; data == nil {
			return nil, nil //nolint:nilnil // nothing to compare with
		}
	case err != nil:
		return nil, err
	case trusted != nil && !bytes.Equal(data, trusted):
		got := digest(data)
		if len(data) > len(trusted) {
			got = fmt.Sprintf("more than %d bytes", len(trusted))
		}
		v.bad(key, CorruptManifest, digest(trusted), got)
		data = trusted
	}
	m, err := parseManifest(key, data)
	if err != nil {
		v.bad(key, CorruptManifest, "a manifest of this release", err.Error())
		return nil, nil //nolint:nilnil // nothing to compare with
	}
	v.belongs(key, m)
	return m, nil
}

// belongs looks whether the manifest is that of the backup in whose place it is, and
// agrees with itself. The first contradiction is told: others mostly follow from it.
func (v *Verification) belongs(key string, m *Manifest) {
	if want, got := m.misplaced(key); want != "" {
		v.bad(key, CorruptManifest, want, got)
		return
	}
	if want, got := m.contradiction(); want != "" {
		v.bad(key, CorruptManifest, want, got)
	}
}

// misplaced compares the manifest with the place that it is in. A key without a
// directory tells nothing: the copy was taken elsewhere.
func (m *Manifest) misplaced(key string) (want, got string) {
	dir := path.Dir(key)
	if dir == "." {
		return "", ""
	}
	if of := path.Base(dir); of != m.BackupID {
		return "that of backup " + of, "that of backup " + m.BackupID
	}
	if own := prefixUnder("", m.UserID, m.SiteID, m.BackupID); !endsWithin(dir+"/", own) {
		return "that of a backup below " + dir, "that of a backup below " + path.Clean(own)
	}
	return "", ""
}

// contradiction is what in a manifest can't be of one backup, whatever is stored.
// Its objects may be below another Config.Prefix than it is itself.
func (m *Manifest) contradiction() (want, got string) {
	if len(m.Objects) == 0 {
		return "an export at least", "none"
	}
	seen := make(map[string]bool, len(m.Objects))
	for i := range m.Objects {
		o := &m.Objects[i]
		if err := ValidateProviderName(o.Provider); err != nil {
			return "names of providers", err.Error()
		}
		if own := prefixUnder("", m.UserID, m.SiteID, m.BackupID) + o.Provider + "/" + o.UploadID; o.UploadID == "" || !endsWithin(o.Key, own) {
			return "an object whose key ends with " + own, o.Key
		}
		if seen[o.Provider] { // two keys that are the same have the same provider
			return "one export for each provider", "two of " + o.Provider
		}
		seen[o.Provider] = true
	}
	return "", ""
}

// endsWithin reports whether the last segments of key are those of end.
func endsWithin(key, end string) bool { return strings.HasSuffix("/"+key, "/"+end) }

func (v *Verification) bad(key, what, want, got string) {
	v.Problems = append(v.Problems, &CorruptError{Key: key, What: what, Want: want, Got: oneLine(got)})
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "SHA-256 " + hexOf(sum[:])
}
