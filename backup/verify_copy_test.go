package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
)

// copies are the copies of two tenants' backups in a directory. Their exports are
// of the same length.
type copies struct {
	*testing.T
	dir   string
	store blob.Store
}

const (
	partSize   = 1000
	annDir     = "ann/s/01/"
	bobDir     = "bob/s/02/"
	annSite    = annDir + "site/1"
	bobSite    = bobDir + "site/1"
	annBackup  = annDir + "manifest.json"
	bobBackup  = bobDir + "manifest.json"
	wholeParts = 2 * 10
)

func newCopies(t *testing.T) *copies {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	store, err := fileblob.New(dir, nil)
	require.NoError(t, err)
	c := &copies{t, dir, store}
	for tenant, at := range map[string]string{"ann": annDir, "bob": bobDir} {
		m := backup.Manifest{Version: 1, BackupID: filepath.Base(at), UserID: tenant, SiteID: "s"}
		for _, provider := range []string{"db", "site"} {
			m.Objects = append(m.Objects, c.object(at+provider+"/1", tenant, provider))
		}
		c.write(at+"manifest.json", c.encode(&m))
	}
	return c
}

// object stores an object in parts, as the engine does.
func (c *copies) object(key, tenant, provider string) backup.ManifestObject {
	c.Helper()
	o := backup.ManifestObject{Provider: provider, Key: key, UploadID: "1"}
	whole := sha256.New()
	var parts []blob.Part
	for i := range 10 {
		data := bytes.Repeat([]byte{tenant[0] + byte(i)}, partSize)
		whole.Write(data)
		p := blob.Part{ID: blob.NewPartID([16]byte{1}, [16]byte{2}, i), Size: partSize, CRC64: blob.Checksum(data)}
		require.NoError(c, c.store.StagePart(c.Context(), key, p, data))
		parts = append(parts, p)
		o.Size += partSize
		o.Parts = append(o.Parts, backup.ManifestPart{Size: partSize, CRC64: fmt.Sprintf("%016x", p.CRC64)})
	}
	require.NoError(c, c.store.Commit(c.Context(), key, parts, blob.Info{}))
	o.SHA256 = hex.EncodeToString(whole.Sum(nil))
	return o
}

func (c *copies) encode(m *backup.Manifest) []byte {
	data, err := json.Marshal(m)
	require.NoError(c, err)
	return data
}

func (c *copies) write(key string, data []byte) {
	c.Helper()
	require.NoError(c, c.store.Delete(c.Context(), key))
	require.NoError(c, blob.Put(c.Context(), c.store, key, data, "", nil))
}

func (c *copies) read(key string) []byte {
	c.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, key))
	require.NoError(c, err)
	return data
}

func (c *copies) manifest(key string) *backup.Manifest {
	c.Helper()
	m, err := backup.ReadManifest(c.Context(), c.store, key)
	require.NoError(c, err)
	return m
}

// swap exchanges two objects.
func (c *copies) swap(a, b string) {
	c.Helper()
	inA, inB := c.read(a), c.read(b)
	c.write(a, inB)
	c.write(b, inA)
}

// resize changes what the manifest says of ann's site.
func (c *copies) resize(change func(*backup.ManifestObject)) {
	c.Helper()
	m := c.manifest(annBackup)
	change(&m.Objects[1])
	c.write(annBackup, c.encode(m))
}

func part(i int) *int { return &i }

// Each damage is named, without a database and, but for a forged manifest that
// fits its objects, without the trusted manifest.
func TestVerifyCopy(t *testing.T) {
	type problem struct {
		provider, key string
		part          *int
		what          string
	}
	type row struct {
		damage func(*copies)
		want   []problem
		only   string // "trusted": seen with the trusted manifest only
	}
	// replaced is a manifest in which no object is wrong.
	replaced := func(change func(*backup.Manifest)) row {
		return row{func(c *copies) {
			m := c.manifest(annBackup)
			change(m)
			c.write(annBackup, c.encode(m))
		}, []problem{{"", annBackup, nil, backup.CorruptManifest}}, ""}
	}
	for name, test := range map[string]row{
		"none": {func(*copies) {}, nil, ""},
		"a byte": {func(c *copies) {
			data := c.read(annSite)
			data[7*partSize+1] ^= 1
			c.write(annSite, data)
		}, []problem{{"site", annSite, part(7), backup.CorruptCRC64}}, ""},
		"two bytes": {func(c *copies) {
			data := c.read(annSite)
			data[0] ^= 1
			data[len(data)-1] ^= 1
			c.write(annSite, data)
		}, []problem{{"site", annSite, part(0), backup.CorruptCRC64}, {"site", annSite, part(9), backup.CorruptCRC64}}, ""},
		"truncated": {func(c *copies) { c.write(annSite, c.read(annSite)[:8*partSize+5]) },
			[]problem{{"site", annSite, part(8), backup.CorruptSize}}, ""},
		"the last part dropped": {func(c *copies) { c.write(annSite, c.read(annSite)[:9*partSize]) },
			[]problem{{"site", annSite, part(9), backup.CorruptSize}}, ""},
		"longer": {func(c *copies) { c.write(annSite, append(c.read(annSite), 'x')) },
			[]problem{{"site", annSite, nil, backup.CorruptSize}}, ""},
		"a part dropped": {func(c *copies) {
			data := c.read(annSite)
			c.write(annSite, append(data[:8*partSize:8*partSize], data[9*partSize:]...))
		}, []problem{{"site", annSite, part(8), backup.CorruptCRC64}, {"site", annSite, part(9), backup.CorruptSize}}, ""},
		"an object missing": {func(c *copies) { require.NoError(c, c.store.Delete(c.Context(), annSite)) },
			[]problem{{"site", annSite, nil, backup.CorruptMissing}}, ""},
		"another tenant's manifest": {func(c *copies) { c.swap(annBackup, bobBackup) },
			[]problem{{"", annBackup, nil, backup.CorruptManifest}}, "untrusted"},
		"another tenant's objects in the manifest": {func(c *copies) {
			m, other := c.manifest(annBackup), c.manifest(bobBackup)
			m.Objects = other.Objects
			c.write(annBackup, c.encode(m))
		}, []problem{{"", annBackup, nil, backup.CorruptManifest}}, "untrusted"},
		"objects below another prefix": {func(c *copies) {
			m := c.manifest(annBackup)
			m.Objects[1].Key = "old/" + annSite
			c.write(m.Objects[1].Key, c.read(annSite))
			c.write(annBackup, c.encode(m))
		}, nil, "untrusted"},
		"another tenant's manifest, seen from the rows": {func(c *copies) { c.swap(annBackup, bobBackup) },
			[]problem{{"", annBackup, nil, backup.CorruptManifest}}, "trusted"},
		"another SHA-256": {func(c *copies) {
			m := c.manifest(annBackup)
			m.Objects[1].SHA256 = m.Objects[0].SHA256[:63] + "x"
			c.write(annBackup, c.encode(m))
		}, []problem{{"site", annSite, nil, backup.CorruptSHA256}}, "untrusted"},
		"parts that don't add up": {func(c *copies) {
			m := c.manifest(annBackup)
			m.Objects[1].Parts = m.Objects[1].Parts[1:]
			c.write(annBackup, c.encode(m))
		}, []problem{{"site", annSite, nil, backup.CorruptParts}}, "untrusted"},
		"no JSON": {func(c *copies) { c.write(annBackup, []byte("{")) },
			[]problem{{"", annBackup, nil, backup.CorruptManifest}}, ""},
		"manifest missing": {func(c *copies) { require.NoError(c, c.store.Delete(c.Context(), annBackup)) },
			[]problem{{"", annBackup, nil, backup.CorruptMissing}}, ""},
		"forged manifest": {func(c *copies) {
			m := c.manifest(annBackup)
			m.Objects = m.Objects[:1]
			c.write(annBackup, c.encode(m))
		}, []problem{{"", annBackup, nil, backup.CorruptManifest}}, "trusted"},
		"no exports":                    replaced(func(m *backup.Manifest) { m.Objects = []backup.ManifestObject{} }),
		"null exports":                  replaced(func(m *backup.Manifest) { m.Objects = nil }),
		"another user":                  replaced(func(m *backup.Manifest) { m.UserID = "bob" }),
		"another site":                  replaced(func(m *backup.Manifest) { m.SiteID = "t" }),
		"no owner":                      replaced(func(m *backup.Manifest) { m.UserID, m.SiteID = "", "" }),
		"another id":                    replaced(func(m *backup.Manifest) { m.BackupID = "02" }),
		"one export for both providers": replaced(func(m *backup.Manifest) { m.Objects[1] = m.Objects[0] }),
		"one object for both providers": replaced(func(m *backup.Manifest) {
			m.Objects[1] = m.Objects[0]
			m.Objects[1].Provider = "site"
		}),
		"a provider renamed":      replaced(func(m *backup.Manifest) { m.Objects[1].Provider = "mail" }),
		"a provider without name": replaced(func(m *backup.Manifest) { m.Objects[1].Provider = "" }),
		"another upload":          replaced(func(m *backup.Manifest) { m.Objects[1].UploadID = "2" }),
		"a negative part": {func(c *copies) { c.resize(func(o *backup.ManifestObject) { o.Parts[1].Size = -partSize }) },
			[]problem{{"site", annSite, part(1), backup.CorruptParts}}, "untrusted"},
		"an empty part": {func(c *copies) { c.resize(func(o *backup.ManifestObject) { o.Parts[1].Size = 0 }) },
			[]problem{{"site", annSite, part(1), backup.CorruptParts}}, "untrusted"},
		"parts longer than there are numbers": {func(c *copies) { c.resize(func(o *backup.ManifestObject) { o.Parts[1].Size = math.MaxInt64 }) },
			[]problem{{"site", annSite, part(1), backup.CorruptParts}}, "untrusted"},
		"a negative size": {func(c *copies) { c.resize(func(o *backup.ManifestObject) { o.Size = -o.Size }) },
			[]problem{{"site", annSite, nil, backup.CorruptParts}}, "untrusted"},
		"no parts, and no size": {func(c *copies) { c.resize(func(o *backup.ManifestObject) { o.Parts, o.Size = nil, 0 }) },
			[]problem{{"site", annSite, nil, backup.CorruptSize}}, "untrusted"},
		"manifest and object": {func(c *copies) {
			c.write(annBackup, []byte("{}"))
			c.write(annSite, append(c.read(annSite)[:9*partSize], make([]byte, partSize)...))
		}, []problem{{"", annBackup, nil, backup.CorruptManifest}, {"site", annSite, part(9), backup.CorruptCRC64}}, "trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCopies(t)
			original := c.read(annBackup)
			test.damage(c)
			for from, trusted := range map[string][]byte{"trusted": original, "untrusted": nil} {
				if test.only != "" && test.only != from {
					continue
				}
				v, err := backup.VerifyCopy(t.Context(), c.store, annBackup, trusted, backup.VerifyParams{})
				require.NoError(t, err)
				var got []problem
				for _, p := range v.Problems {
					got = append(got, problem{p.Provider, p.Key, p.Part, p.What})
					require.NotEqual(t, p.Want, p.Got)
				}
				require.Equal(t, test.want, got, from)
				if len(test.want) == 0 {
					require.NoError(t, v.Err())
					require.Equal(t, &backup.Verification{Sample: 1, Objects: 2, Parts: wholeParts, Bytes: wholeParts * partSize}, v)
					continue
				}
				require.ErrorContains(t, v.Err(), test.want[0].key)
			}
		})
	}
}

// Two tenants' objects of the same length: every part of both is another's.
func TestVerifySwappedTenants(t *testing.T) {
	c := newCopies(t)
	c.swap(annSite, bobSite)
	for key, object := range map[string]string{annBackup: annSite, bobBackup: bobSite} {
		for _, sample := range []float64{0, 0.05} {
			v, err := backup.VerifyCopy(t.Context(), c.store, key, nil, backup.VerifyParams{Sample: sample})
			require.NoError(t, err)
			require.Len(t, v.Problems, map[float64]int{0: 10, 0.05: 1}[sample])
			require.Equal(t, object, v.Problems[0].Key)
			require.NotNil(t, v.Problems[0].Part)
		}
	}
}

// A sample reads its share of the parts, and finds what is in them.
func TestVerifySample(t *testing.T) {
	c := newCopies(t)
	data := c.read(annSite)
	data[3*partSize] ^= 1
	c.write(annSite, data)
	found := 0
	for range 200 {
		v, err := backup.VerifyCopy(t.Context(), c.store, annBackup, nil, backup.VerifyParams{Sample: 0.3})
		require.NoError(t, err)
		require.Equal(t, 6, v.Parts)
		require.EqualValues(t, 6*partSize, v.Bytes)
		require.InDelta(t, 0.3, v.Sample, 0)
		if len(v.Problems) > 0 {
			require.Equal(t, []*backup.CorruptError{{Provider: "site", Key: annSite, Part: part(3), What: backup.CorruptCRC64, Want: v.Problems[0].Want, Got: v.Problems[0].Got}}, v.Problems)
			found++
		}
	}
	require.InDelta(t, 60, found, 45, "three of ten")
	for _, bad := range []float64{-0.1, 1.1} {
		_, err := backup.VerifyCopy(t.Context(), c.store, annBackup, nil, backup.VerifyParams{Sample: bad})
		require.EqualError(t, err, "sample must be between 0 and 1")
	}
}

// counting counts the bytes that are read from it.
type counting struct {
	blob.Store
	read int64
}

func (c *counting) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, err := c.Store.Open(ctx, key, offset, length)
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(body, c), body}, err
}

func (c *counting) Write(p []byte) (int, error) {
	c.read += int64(len(p))
	return len(p), nil
}

// Where the manifest is known from elsewhere, one that was put in its place can't fill the
// worker's memory, whatever its size.
func TestVerifyReadsNoMoreThanTheManifest(t *testing.T) {
	c := newCopies(t)
	original := c.read(annBackup)
	c.write(annBackup, append(original[:len(original):len(original)], make([]byte, 8<<20)...))
	store := &counting{Store: c.store}
	v, err := backup.VerifyCopy(t.Context(), store, annBackup, original, backup.VerifyParams{})
	require.NoError(t, err)
	require.Len(t, v.Problems, 1)
	require.Equal(t, backup.CorruptManifest, v.Problems[0].What)
	require.Equal(t, fmt.Sprintf("more than %d bytes", len(original)), v.Problems[0].Got)
	require.Less(t, store.read, int64(1<<20))
}
