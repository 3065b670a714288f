package blob_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"context"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sitebackup/sitebackup/backup/blob"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	key  = "user/site/backup/site/upload"
	part = 64 << 10 // the smallest part size
)

var (
	uploadID = [16]byte{1, 2, 3}
	token    = [16]byte{4, 5, 6}
)

// options are those of an upload with the smallest parts.
func options() *blob.UploadOptions {
	return &blob.UploadOptions{UploadID: uploadID, Token: token}
}

func small() *blob.UploadOptions {
	o := options()
	o.PartSize = part
	return o
}

// recorded is a journal in memory. It checks what Stage promises of each call.
type recorded struct {
	t       testing.TB
	running atomic.Int32

	mu    sync.Mutex
	parts []blob.Part
	saved []blob.Checkpoint // with all parts
}

func (r *recorded) journal(ctx context.Context, c *blob.Checkpoint) error {
	if r.running.Add(1) != 1 {
		r.t.Error("two calls of Journal at once")
	}
	defer r.running.Add(-1)
	if ctx.Err() != nil {
		r.t.Error("Journal was called with a context that has ended")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(c.Parts) == 0 {
		r.t.Error("Journal was called with nothing new")
	}
	r.parts = append(r.parts, c.Parts...)
	var sum int64
	for i, p := range r.parts {
		if p.ID.Index() != i {
			r.t.Errorf("part %d was journaled in place %d", p.ID.Index(), i)
		}
		sum += p.Size
	}
	if sum != c.Offset {
		r.t.Errorf("offset is %d, the parts have %d bytes", c.Offset, sum)
	}
	r.saved = append(r.saved, blob.Checkpoint{Parts: slices.Clone(r.parts), Offset: c.Offset, SHA256: c.SHA256, Cursor: c.Cursor})
	return nil
}

// last is what the next attempt would go on from.
func (r *recorded) last() *blob.Checkpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.saved) == 0 {
		return nil
	}
	return &r.saved[len(r.saved)-1]
}

// record makes o journal every part.
func record(t testing.TB, o *blob.UploadOptions) *recorded {
	r := &recorded{t: t}
	if o.Resume != nil {
		r.parts = slices.Clone(o.Resume.Parts)
	}
	o.Journal = r.journal
	o.JournalBytes = 1
	return r
}

// requireObject checks that the object is data.
func requireObject(t testing.TB, s blob.Store, data []byte) {
	t.Helper()
	body, err := s.Open(t.Context(), key, 0, -1)
	require.NoError(t, err)
	defer body.Close()
	got, err := io.ReadAll(body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got), "the object has other bytes, %d of %d", len(got), len(data))
}

// requireContent checks that c is data, in parts of the schedule.
func requireContent(t testing.TB, c *blob.Content, data []byte) {
	t.Helper()
	require.EqualValues(t, len(data), c.Size)
	require.Equal(t, sha256.Sum256(data), c.SHA256)
	for i, p := range c.Parts {
		require.Equal(t, i, p.ID.Index())
		require.Equal(t, blob.Checksum(data[:p.Size]), p.CRC64)
		data = data[p.Size:]
	}
	require.Empty(t, data)
}
