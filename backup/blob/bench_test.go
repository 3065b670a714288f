package blob_test

import (
	"context"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// nullStore takes parts and forgets them.
type nullStore struct{ blob.Store }

func (nullStore) StagePart(context.Context, string, blob.Part, []byte) error { return nil }

// BenchmarkStage measures the engine alone, from a source that costs nothing to a
// store that costs nothing. Hashed should come close to SHA256, which is what
// the hash alone takes; Unhashed is what the rest takes.
func BenchmarkStage(b *testing.B) {
	const size = 512 << 20
	for name, stage := range map[string]func(context.Context, blob.Store, string, io.ReadCloser, *blob.UploadOptions) (*blob.Content, error){
		"Hashed":   blob.Stage,
		"Unhashed": blob.StageUnhashed,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				body := &pattern{size: size}
				c, err := stage(b.Context(), nullStore{}, "a", body, options())
				require.NoError(b, err)
				require.EqualValues(b, size, c.Size)
			}
		})
	}
	b.Run("SHA256", func(b *testing.B) {
		data := patternBytes(8 << 20)
		b.SetBytes(size)
		for b.Loop() {
			h := sha256.New()
			for range size / len(data) {
				_, _ = h.Write(data)
			}
		}
	})
}
