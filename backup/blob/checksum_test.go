package blob_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// The digest is that of all bytes, however the pieces in which a part is hashed fit
// into it.
func TestDigestOfLargeParts(t *testing.T) {
	t.Parallel()
	const piece = 128 << 10
	for _, size := range []int{1, piece - 1, piece, piece + 1, 3*piece + 77, 1<<20 - 1, 1 << 20, 2<<20 + piece + 5} {
		data := patternBytes(size)
		o := options()
		o.PartSize = 1 << 20
		c, err := blob.Stage(t.Context(), nullStore{}, "a", io.NopCloser(bytes.NewReader(data)), o)
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256(data), c.SHA256, size)
	}
}
