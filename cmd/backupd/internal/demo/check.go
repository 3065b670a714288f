package demo

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/httpapi"
)

// size is a number of bytes for people.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// check reads back what is stored, and compares it with the manifest and with
// what the sources hold.
func (d *demo) check(ctx context.Context, b *httpapi.Backup) (*backup.Manifest, error) {
	d.printf("Reading every byte back from the store ...\n")
	m, err := backup.ReadManifest(ctx, d.app.Store, b.ManifestKey)
	if err != nil {
		return nil, err
	}
	if m.BackupID != b.ID || len(m.Objects) != len(d.places.exports) {
		return nil, fmt.Errorf("manifest %q is of backup %s with %d objects, not of %s with %d", b.ManifestKey, m.BackupID, len(m.Objects), b.ID, len(d.places.exports))
	}
	if err := backup.VerifyManifest(ctx, d.app.Store, m); err != nil {
		return nil, err
	}
	for _, o := range d.places.exports {
		if err := checkSource(m, o); err != nil {
			return nil, err
		}
	}
	for i := range m.Objects {
		o := &m.Objects[i]
		d.printf("  %-5s %s in %d parts: each part's CRC64 and the SHA-256 are those of the manifest, and the SHA-256 is the source's\n", o.Provider, size(o.Size), len(o.Parts))
	}
	return m, nil
}

// checkSource compares an object's digest with that of the bytes that the mock
// API makes.
func checkSource(m *backup.Manifest, o export.Options) error {
	i := slices.IndexFunc(m.Objects, func(object backup.ManifestObject) bool { return object.Provider == o.Name })
	if i < 0 {
		return fmt.Errorf("the manifest has no export of %s", o.Name)
	}
	want := export.SHA256(o, userID, siteID)
	if got := m.Objects[i].SHA256; got != hex.EncodeToString(want[:]) || m.Objects[i].Size != o.Size {
		return fmt.Errorf("the export of %s is not what the source holds: SHA-256 %s, want %x", o.Name, got, want)
	}
	return nil
}
