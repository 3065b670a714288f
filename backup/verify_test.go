package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
)

// stored puts an object of 1 MB in four parts, the last one short, into a store
// and returns its manifest.
func stored(t *testing.T) (*blobtest.Faulty, *backup.Manifest) {
	t.Helper()
	files, err := fileblob.New(t.TempDir(), nil)
	require.NoError(t, err)
	store := blobtest.NewFaulty(files)
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	require.NoError(t, blob.Put(t.Context(), store, "u/s/b/site/1", data, "application/x-tar", nil))
	sum := sha256.Sum256(data)
	o := backup.ManifestObject{Provider: "site", Key: "u/s/b/site/1", Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
	for len(data) > 0 {
		n := min(len(data), 300_000)
		o.Parts = append(o.Parts, backup.ManifestPart{Size: int64(n), CRC64: fmt.Sprintf("%016x", blob.Checksum(data[:n]))})
		data = data[n:]
	}
	return store, &backup.Manifest{Version: 1, Objects: []backup.ManifestObject{o}}
}

func TestVerifyManifest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*blobtest.Faulty, *backup.ManifestObject)
		what   string // of the mismatch; "" for none
		is     error
	}{
		"right":        {func(*blobtest.Faulty, *backup.ManifestObject) {}, "", nil},
		"damaged byte": {func(s *blobtest.Faulty, _ *backup.ManifestObject) { s.Flip(1, 600_000) }, "CRC64 of part 2", nil},
		"first byte":   {func(s *blobtest.Faulty, _ *backup.ManifestObject) { s.Flip(1, 0) }, "CRC64 of part 0", nil},
		"last byte":    {func(s *blobtest.Faulty, _ *backup.ManifestObject) { s.Flip(1, 999_999) }, "CRC64 of part 3", nil},
		"cut":          {func(s *blobtest.Faulty, _ *backup.ManifestObject) { s.Cut(1, 700_000) }, "", io.ErrUnexpectedEOF},
		"missing":      {func(_ *blobtest.Faulty, o *backup.ManifestObject) { o.Key = "u/s/b/site/2" }, "", blob.ErrNotFound},
		"digest":       {func(_ *blobtest.Faulty, o *backup.ManifestObject) { o.SHA256 = hex.EncodeToString(make([]byte, 32)) }, "SHA-256", nil},
		"shorter": {func(_ *blobtest.Faulty, o *backup.ManifestObject) {
			o.Size, o.Parts = 900_000, o.Parts[:3]
		}, "size", nil},
		"parts missing": {func(_ *blobtest.Faulty, o *backup.ManifestObject) { o.Parts = o.Parts[:3] }, "size of all parts", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, m := stored(t)
			test.change(store, &m.Objects[0])
			err := backup.VerifyManifest(t.Context(), store, m)
			var mismatch *blob.MismatchError
			switch {
			case test.what != "":
				require.ErrorAs(t, err, &mismatch)
				require.Equal(t, test.what, mismatch.What)
				require.Contains(t, err.Error(), "verify site: ")
				require.Contains(t, err.Error(), m.Objects[0].Key)
			case test.is != nil:
				require.ErrorIs(t, err, test.is)
			default:
				require.NoError(t, err)
			}
		})
	}
}

// Each damaged object is named, not only the first.
func TestVerifyManifestNamesAll(t *testing.T) {
	t.Parallel()
	store, m := stored(t)
	m.Objects = append(m.Objects, m.Objects[0], backup.ManifestObject{Provider: "db", Key: "none", Size: 0})
	m.Objects[0].SHA256 = "wrong"
	err := backup.VerifyManifest(t.Context(), store, m)
	require.ErrorContains(t, err, "verify site: ")
	require.ErrorContains(t, err, "verify db: ")
}

func TestVerifyManifestStops(t *testing.T) {
	t.Parallel()
	store, m := stored(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, backup.VerifyManifest(ctx, store, m), context.Canceled)
}

func TestReadManifest(t *testing.T) {
	t.Parallel()
	store, m := stored(t)
	put := func(key string, v any) {
		data, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, blob.Put(t.Context(), store, key, data, backup.ManifestContentType, nil))
	}
	put("m1", m)
	got, err := backup.ReadManifest(t.Context(), store, "m1")
	require.NoError(t, err)
	require.Equal(t, m, got)
	put("m2", map[string]any{"version": 2})
	_, err = backup.ReadManifest(t.Context(), store, "m2")
	require.ErrorContains(t, err, "its version is 2")
	put("m3", "x")
	_, err = backup.ReadManifest(t.Context(), store, "m3")
	require.ErrorContains(t, err, `read manifest "m3": `)
	_, err = backup.ReadManifest(t.Context(), store, "m4")
	require.ErrorIs(t, err, blob.ErrNotFound)
}
