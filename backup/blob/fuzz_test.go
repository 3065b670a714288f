package blob_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

func FuzzParsePartID(f *testing.F) {
	f.Add("")
	f.Add(blob.PartID{}.String())
	f.Add(blob.NewPartID(uploadID, token, 49_999).String())
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAB")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := blob.ParsePartID(s)
		if err != nil {
			return
		}
		require.Equal(t, s, id.String(), "two spellings of one id")
	})
}

func FuzzValidateKey(f *testing.F) {
	for _, key := range []string{"a", "a/b", "../a", "a//b", "a/.", "%2e%2e/a", "a\\b", "ä", "a/..b"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		s := newMemStore()
		err := blob.Put(t.Context(), s, key, []byte("x"), "", nil)
		require.Equal(t, blob.ValidateKey(key) == nil, err == nil)
	})
}

// FuzzStage cuts data into parts of some size, read in some steps, and again from
// a cut on.
func FuzzStage(f *testing.F) {
	f.Add([]byte(""), uint16(1), uint16(1), uint16(0))
	f.Add([]byte("hello, world"), uint16(4), uint16(3), uint16(5))
	f.Add(patternBytes(3000), uint16(100), uint16(77), uint16(1234))
	f.Fuzz(func(t *testing.T, data []byte, first, step, cut uint16) {
		size, steps := int64(first)+1, int(step)+1
		at := min(int(cut), len(data))
		s := newMemStore()
		o := options()
		r := record(t, o)
		_, err := blob.StageSized(t.Context(), s, key, &script{data: data[:at], step: steps, err: io.ErrUnexpectedEOF}, o, size)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)

		o = options()
		o.Resume = r.last()
		if at > 0 {
			require.EqualValues(t, at, o.Resume.Offset)
		}
		c, err := blob.StageSized(t.Context(), s, key, &script{data: data[at:], step: steps, err: io.EOF, together: true}, o, size)
		require.NoError(t, err)
		requireContent(t, c, data)
		require.NoError(t, commit(t.Context(), s, c))
		requireObject(t, s, data)
	})
}
