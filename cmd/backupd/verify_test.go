package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// downloaded is a directory as backup download leaves it.
type downloaded struct {
	*testing.T
	dir      string
	manifest backup.Manifest
}

func newDownloaded(t *testing.T) *downloaded {
	t.Helper()
	const id, part = "019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b", 1000
	d := &downloaded{t, t.TempDir(), backup.Manifest{Version: backup.ManifestVersion, BackupID: id, UserID: "u", SiteID: "s"}}
	for i, provider := range []string{"db", "site"} {
		o := backup.ManifestObject{Provider: provider, Key: "u/s/" + id + "/" + provider + "/1", UploadID: "1", Size: 3 * part}
		var data []byte
		for j := range 3 {
			data = append(data, bytes.Repeat([]byte{byte(10*i + j)}, part)...)
			o.Parts = append(o.Parts, backup.ManifestPart{Size: part, CRC64: fmt.Sprintf("%016x", blob.Checksum(data[j*part:]))})
		}
		sum := sha256.Sum256(data)
		o.SHA256 = hex.EncodeToString(sum[:])
		d.manifest.Objects = append(d.manifest.Objects, o)
		d.write(provider, data)
	}
	d.seal()
	return d
}

func (d *downloaded) write(name string, data []byte) {
	d.Helper()
	require.NoError(d, os.WriteFile(filepath.Join(d.dir, name), data, 0o600))
}

func (d *downloaded) read(name string) []byte {
	d.Helper()
	data, err := os.ReadFile(filepath.Join(d.dir, name))
	require.NoError(d, err)
	return data
}

// seal writes the manifest.
func (d *downloaded) seal() {
	d.Helper()
	data, err := json.Marshal(d.manifest)
	require.NoError(d, err)
	d.write("manifest.json", data)
}

// Whatever is done to a copy, scripts learn it from the exit status, and people from
// what is printed.
func TestVerifyOffline(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage func(*downloaded)
		status int
		says   string
	}{
		"whole":         {func(*downloaded) {}, 0, "read 2 exports, 6 parts, 5.9 KiB: 0 problems\n"},
		"a note beside": {func(d *downloaded) { d.write("READ ME", nil) }, 0, "0 problems"},
		"a byte": {func(d *downloaded) {
			data := d.read("site")
			data[1500] ^= 1
			d.write("site", data)
		}, 3, "damaged: site, part 1: CRC64"},
		"a part dropped": {func(d *downloaded) {
			data := d.read("site")
			d.write("site", append(data[:1000:1000], data[2000:]...))
		}, 3, "damaged: site, part 1: CRC64"},
		"truncated": {func(d *downloaded) { d.write("site", d.read("site")[:2500]) }, 3, "damaged: site, part 2: size is 500 and should be 1000"},
		"swapped": {func(d *downloaded) {
			site, db := d.read("site"), d.read("db")
			d.write("site", db)
			d.write("db", site)
		}, 3, "damaged: db, part 0: CRC64"},
		"an export missing": {func(d *downloaded) { require.NoError(d, os.Remove(filepath.Join(d.dir, "db"))) }, 3, "damaged: db: missing"},
		"no exports": {func(d *downloaded) {
			d.manifest.Objects = nil
			d.seal()
		}, 3, "damaged: manifest: manifest is none and should be an export at least"},
		"an export taken out": {func(d *downloaded) {
			d.manifest.Objects = d.manifest.Objects[:1]
			d.seal()
		}, 3, `damaged: manifest: manifest is one without "site"`},
		"another site's": {func(d *downloaded) {
			d.manifest.SiteID = "t"
			d.seal()
		}, 3, "should be an object whose key ends with u/t/"},
		"one export for both": {func(d *downloaded) {
			d.manifest.Objects[1] = d.manifest.Objects[0]
			d.seal()
		}, 3, "should be one export for each provider"},
		"no JSON":     {func(d *downloaded) { d.write("manifest.json", []byte("{")) }, 3, "a manifest of this release"},
		"no manifest": {func(d *downloaded) { require.NoError(d, os.Remove(filepath.Join(d.dir, "manifest.json"))) }, 4, "damaged: manifest: missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDownloaded(t)
			test.damage(d)
			status, out, err := runs(t, nil, "verify", "--dir", d.dir)
			require.Equal(t, test.status, status, "%s%s", out, err)
			require.Contains(t, out, test.says)
		})
	}
}
