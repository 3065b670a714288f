package blob_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// meeting lets two calls go on only when both are under way: of a store that is
// far away, they take one round trip.
type meeting struct {
	blob.Store
	first, second chan struct{}
}

func newMeeting(s blob.Store) *meeting {
	return &meeting{Store: s, first: make(chan struct{}), second: make(chan struct{})}
}

var errAlone = errors.New("the other call isn't under way")

// meet closes mine, once, and waits for the other.
func meet(ctx context.Context, mine, other chan struct{}) error {
	select {
	case <-mine: // not the first call of its kind
		return nil
	default:
		close(mine)
	}
	select {
	case <-other:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(10 * time.Second):
		return errAlone
	}
}

// looking is a store where an object's description and its parts meet.
type looking struct{ *meeting }

func (l looking) Stat(ctx context.Context, key string) (*blob.Object, error) {
	if err := meet(ctx, l.first, l.second); err != nil {
		return nil, err
	}
	return l.Store.Stat(ctx, key)
}

func (l looking) CommittedParts(ctx context.Context, key string) ([]blob.Part, error) {
	if err := meet(ctx, l.second, l.first); err != nil {
		return nil, err
	}
	return l.Store.CommittedParts(ctx, key)
}

// A commit is proven in one round trip, whether it has found its object or not.
func TestCommitAsksAtOnce(t *testing.T) {
	t.Parallel()
	s := newMemStore()
	c := staged(t, s, patternBytes(2*part))
	require.NoError(t, commit(t.Context(), looking{newMeeting(s)}, c))
	require.NoError(t, commit(t.Context(), looking{newMeeting(s)}, c), "after a lost answer")
	other := staged(t, s, patternBytes(part))
	err := blob.Commit(t.Context(), looking{newMeeting(s)}, key, [16]byte{7}, other, "")
	require.ErrorIs(t, err, blob.ErrConflict)
}

// putting is a store where the look at an object and the staging of its part
// meet.
type putting struct{ *meeting }

func (p putting) Stat(ctx context.Context, key string) (*blob.Object, error) {
	if err := meet(ctx, p.first, p.second); err != nil {
		return nil, err
	}
	return p.Store.Stat(ctx, key)
}

func (p putting) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if err := meet(ctx, p.second, p.first); err != nil {
		return err
	}
	return p.Store.StagePart(ctx, key, part, data)
}

// What is put is staged while the store is asked whether it is there.
func TestPutStagesAtOnce(t *testing.T) {
	t.Parallel()
	s := newMemStore()
	require.NoError(t, put(t, putting{newMeeting(s)}, "data"))
	require.NoError(t, put(t, putting{newMeeting(s)}, "data"), "the same again")
	require.ErrorIs(t, put(t, putting{newMeeting(s)}, "other"), blob.ErrConflict)
	require.Empty(t, s.Staged[key], "nothing is left of what was staged for nothing")
	requireObject(t, s, []byte("data"))
}
