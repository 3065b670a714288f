package export_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

func readAll(t *testing.T, o export.Options) []byte {
	t.Helper()
	all, err := io.ReadAll(io.LimitReader(export.NewReader(o, "u", "s"), 1<<20))
	require.NoError(t, err)
	return all
}

func TestReaderReadsAndSeeks(t *testing.T) {
	t.Parallel()
	o := export.Options{Name: "site", Size: 10_007, Seed: 1}
	all := readAll(t, o)
	require.Len(t, all, 10_007)
	require.NoError(t, iotest.TestReader(export.NewReader(o, "u", "s"), all))
	require.Equal(t, sha256.Sum256(all), export.SHA256(o, "u", "s"))
}

func TestReaderReadsTheSameFromAnyOffset(t *testing.T) {
	t.Parallel()
	o := export.Options{Name: "db", Size: 1000}
	all := readAll(t, o)
	for off := range int64(1000) {
		r := export.NewReader(o, "u", "s")
		_, err := r.Seek(off, io.SeekStart)
		require.NoError(t, err)
		rest, err := io.ReadAll(io.LimitReader(r, 1<<20))
		require.NoError(t, err)
		require.True(t, bytes.Equal(all[off:], rest), "from offset %d", off)
	}
}

func TestReaderReadsOtherBytesForOtherOptions(t *testing.T) {
	t.Parallel()
	seen := map[string]export.Options{}
	for _, o := range []export.Options{
		{Name: "site"}, {Name: "db"}, {Name: "site", Seed: 1}, {Name: "site", Version: 1},
	} {
		o.Size = 32
		bytes := string(readAll(t, o))
		require.NotContains(t, seen, bytes)
		seen[bytes] = o
	}
	require.NotEqual(t,
		export.SHA256(export.Options{Size: 32}, "a", "bc"),
		export.SHA256(export.Options{Size: 32}, "ab", "c"))
}

func TestReaderReachesFarOffsetsAtOnce(t *testing.T) {
	t.Parallel()
	r := export.NewReader(export.Options{Size: 1 << 60}, "u", "s")
	_, err := r.Seek(-5, io.SeekEnd)
	require.NoError(t, err)
	rest, err := io.ReadAll(io.LimitReader(r, 100))
	require.NoError(t, err)
	require.Len(t, rest, 5)
}

func BenchmarkReader(b *testing.B) {
	buf := make([]byte, 32<<10)
	r := export.NewReader(export.Options{Size: 1 << 60}, "u", "s")
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		_, err := r.Read(buf)
		require.NoError(b, err)
	}
}
