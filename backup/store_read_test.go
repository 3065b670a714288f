package backup

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// stopped is a store that stops, as one without deadlines of its own does: when an
// object is opened, or behind its first bytes.
type stopped struct {
	blob.Store
	open bool
}

func (s stopped) Open(ctx context.Context, _ string, _, _ int64) (io.ReadCloser, error) {
	if s.open {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return io.NopCloser(io.MultiReader(strings.NewReader("first"), waiting{ctx})), nil
}

type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

// A verification doesn't wait for ever for a store that does.
func TestReadOfAStoreThatStops(t *testing.T) {
	t.Parallel()
	_, err := openBounded(t.Context(), stopped{open: true}, "k", 0, -1, 50*time.Millisecond)
	require.ErrorIs(t, err, errStoreStalled)

	body, err := openBounded(t.Context(), stopped{}, "k", 0, -1, 50*time.Millisecond)
	require.NoError(t, err)
	data, err := io.ReadAll(body)
	require.ErrorIs(t, err, errStoreStalled)
	require.Equal(t, "first", string(data))
	require.NoError(t, body.Close())

	// The caller's own end is told from that.
	ctx, cancel := context.WithCancel(t.Context())
	body, err = openBounded(ctx, stopped{}, "k", 0, -1, time.Hour)
	require.NoError(t, err)
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, body.Close())
}
