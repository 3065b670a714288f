package blob_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// staged stages data and returns what is to be committed.
func staged(t testing.TB, s blob.Store, data []byte) *blob.Content {
	t.Helper()
	c, err := blob.Stage(t.Context(), s, key, &script{data: data, err: io.EOF}, small())
	require.NoError(t, err)
	return c
}

func commit(ctx context.Context, s blob.Store, c *blob.Content) error {
	return blob.Commit(ctx, s, key, uploadID, c, "application/x-tar")
}

func TestCommitKeepsWhatProvesIt(t *testing.T) {
	t.Parallel()
	s := newMemStore()
	c := staged(t, s, patternBytes(3*part))
	require.NoError(t, commit(t.Context(), s, c))
	obj, err := s.Stat(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, blob.Info{ContentType: "application/x-tar", Metadata: map[string]string{
		"uploadid": hex.EncodeToString(uploadID[:]),
		"sha256":   hex.EncodeToString(c.SHA256[:]),
		"size":     strconv.Itoa(3 * part),
	}}, obj.Info)
}

// The answer of the commit, or of any look behind it, is lost: it succeeds when
// it is called again.
func TestCommitAfterALostAnswer(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, op := range []blobtest.Op{blobtest.OpCommit, blobtest.OpStat, blobtest.OpCommittedParts} {
		f := blobtest.NewFaulty(newMemStore())
		data := patternBytes(2*part + 1)
		c := staged(t, f, data)
		f.Lose(op, 1, broken)
		var store *blob.StoreError
		err := commit(t.Context(), f, c)
		require.ErrorAs(t, err, &store, op)
		require.ErrorIs(t, err, broken)
		require.NoError(t, commit(t.Context(), f, c))
		require.NoError(t, commit(t.Context(), f, c))
		requireObject(t, f, data)
	}
}

// The store says that a part is missing since it has committed them already.
func TestCommitAfterTheCommit(t *testing.T) {
	t.Parallel()
	f := blobtest.NewFaulty(newMemStore())
	c := staged(t, f, patternBytes(part))
	require.NoError(t, commit(t.Context(), f, c))
	f.Fail(blobtest.OpCommit, 1, blob.ErrPartMissing)
	require.NoError(t, commit(t.Context(), f, c))
}

func TestCommitOverAnotherObject(t *testing.T) {
	t.Parallel()
	s := newMemStore()
	other, err := blob.Stage(t.Context(), s, key, &script{data: []byte("other"), err: io.EOF}, small())
	require.NoError(t, err)
	require.NoError(t, blob.Commit(t.Context(), s, key, [16]byte{7}, other, ""))
	c := staged(t, s, patternBytes(part))
	require.ErrorIs(t, commit(t.Context(), s, c), blob.ErrConflict)
	requireObject(t, s, []byte("other"))

	f := blobtest.NewFaulty(s)
	f.Fail(blobtest.OpCommit, 1, blob.ErrPartMissing)
	require.ErrorIs(t, commit(t.Context(), f, c), blob.ErrConflict)
}

func TestCommitWithoutObjectAndParts(t *testing.T) {
	t.Parallel()
	s := newMemStore()
	c := staged(t, s, patternBytes(2*part))
	require.NoError(t, s.Abort(t.Context(), key))
	require.ErrorIs(t, commit(t.Context(), s, c), blob.ErrPartMissing)
	_, err := s.Stat(t.Context(), key)
	require.ErrorIs(t, err, blob.ErrNotFound)
}

// A store that shows something else than was committed is found out.
func TestCommitFindsDamage(t *testing.T) {
	t.Parallel()
	for what, damage := range map[string]func(*memblob.Object){
		"length":          func(o *memblob.Object) { o.Size-- },
		"sha256":          func(o *memblob.Object) { o.Metadata["sha256"] = "00" },
		"size":            func(o *memblob.Object) { delete(o.Metadata, "size") },
		"uploadid":        func(o *memblob.Object) { o.Metadata["uploadid"] = "00" },
		"number of parts": func(o *memblob.Object) { o.Parts = o.Parts[1:] },
		"part 1":          func(o *memblob.Object) { o.Parts[1].Size++ },
		"part 0":          func(o *memblob.Object) { o.Parts[0].ID[3]++ },
	} {
		s := newMemStore()
		c := staged(t, s, patternBytes(2*part))
		err := commit(t.Context(), &damaging{Store: s, damage: func() { damage(s.Objects[key]) }}, c)
		var bad *blob.MismatchError
		require.ErrorAs(t, err, &bad, what)
		require.Equal(t, what, bad.What)
		require.Contains(t, err.Error(), key)
	}
}

// damaging does something to an object right after it was committed.
type damaging struct {
	blob.Store
	damage func()
}

func (d *damaging) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	err := d.Store.Commit(ctx, key, parts, info)
	d.damage()
	return err
}

// A store that doesn't keep its parts is taken by its word for the rest.
func TestCommitWithoutCommittedParts(t *testing.T) {
	t.Parallel()
	f := blobtest.NewFaulty(newMemStore())
	c := staged(t, f, patternBytes(part))
	f.Fail(blobtest.OpCommittedParts, 1, errors.ErrUnsupported)
	require.NoError(t, commit(t.Context(), f, c))
}

func put(t testing.TB, s blob.Store, data string) error {
	t.Helper()
	return blob.Put(t.Context(), s, key, []byte(data), "application/json", nil)
}

func TestPut(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "{}"} {
		s := newMemStore()
		require.NoError(t, put(t, s, data))
		requireObject(t, s, []byte(data))
		require.NoError(t, put(t, s, data), "the same again")
		require.ErrorIs(t, put(t, s, "other"), blob.ErrConflict)
		requireObject(t, s, []byte(data))
		require.Empty(t, s.Staged[key], "nothing is staged when the object is there")
	}
}

func TestPutAfterALostAnswer(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, op := range []blobtest.Op{blobtest.OpStagePart, blobtest.OpCommit, blobtest.OpStat, blobtest.OpCommittedParts} {
		f := blobtest.NewFaulty(newMemStore())
		f.Lose(op, 1, broken)
		require.ErrorIs(t, put(t, f, "data"), broken, op)
		require.NoError(t, put(t, f, "data"), op)
		requireObject(t, f, []byte("data"))
	}
}

// meddling runs something right before the first commit.
type meddling struct {
	blob.Store
	meddle func()
	once   sync.Once
}

func (m *meddling) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	m.once.Do(m.meddle)
	return m.Store.Commit(ctx, key, parts, info)
}

// Somebody puts the same between our look and our commit, or takes our part away.
func TestPutLooksAgain(t *testing.T) {
	t.Parallel()
	s := newMemStore()
	m := &meddling{Store: s, meddle: func() { require.NoError(t, put(t, s, "data")) }}
	require.NoError(t, put(t, m, "data"))

	s = newMemStore()
	m = &meddling{Store: s, meddle: func() { require.NoError(t, put(t, s, "other")) }}
	require.ErrorIs(t, put(t, m, "data"), blob.ErrConflict)

	s = newMemStore()
	m = &meddling{Store: s, meddle: func() { require.NoError(t, s.Abort(t.Context(), key)) }}
	require.NoError(t, put(t, m, "data"))
	requireObject(t, s, []byte("data"))
}

// Workers that put the same bytes at the same time all succeed; with other bytes
// one does.
func TestPutAtTheSameTime(t *testing.T) {
	t.Parallel()
	for _, different := range []bool{false, true} {
		s := newMemStore()
		var mu sync.Mutex
		wins := 0
		var workers sync.WaitGroup
		for i := range 8 {
			workers.Go(func() {
				data := "same"
				if different {
					data = strconv.Itoa(i)
				}
				err := put(t, s, data)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					wins++
				case !different || !errors.Is(err, blob.ErrConflict):
					t.Error(err)
				}
			})
		}
		workers.Wait()
		if different {
			require.Equal(t, 1, wins)
		} else {
			require.Equal(t, 8, wins)
		}
	}
}
