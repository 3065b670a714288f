package blob_test

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

// From every checkpoint an upload goes on to the same content.
func TestResumeFromEveryCheckpoint(t *testing.T) {
	t.Parallel()
	data := patternBytes(12*part + 999)
	s := newMemStore()
	o := small()
	r := record(t, o)
	_, err := blob.Stage(t.Context(), s, key, &script{data: data, err: io.ErrUnexpectedEOF}, o)
	require.Error(t, err)
	require.EqualValues(t, len(data), r.last().Offset)
	for _, c := range append(slices.Clone(r.saved), blob.Checkpoint{}) {
		copied := newMemStore()
		for k, parts := range s.Staged {
			copied.Staged[k] = make(map[blob.PartID][]byte)
			for id, p := range parts {
				copied.Staged[k][id] = p
			}
		}
		requireResumes(t, copied, &c, data)
	}
}

func TestResumeIsChecked(t *testing.T) {
	t.Parallel()
	s := newMemStore()
	o := small()
	r := record(t, o)
	_, err := blob.Stage(t.Context(), s, key, &script{data: patternBytes(3 * part), err: io.ErrUnexpectedEOF}, o)
	require.Error(t, err)
	good := *r.last()

	for want, change := range map[string]func(c *blob.Checkpoint, o *blob.UploadOptions){
		"belongs to another upload":                   func(_ *blob.Checkpoint, o *blob.UploadOptions) { o.UploadID[0]++ },
		"Resume.Parts[0] has the index 1":             func(c *blob.Checkpoint, _ *blob.UploadOptions) { c.Parts = c.Parts[1:] },
		"Resume.Offset is 196609":                     func(c *blob.Checkpoint, _ *blob.UploadOptions) { c.Offset++ },
		"Resume.Offset is 196608, its parts have 0":   func(c *blob.Checkpoint, _ *blob.UploadOptions) { c.Parts = nil },
		"Resume.SHA256 is missing":                    func(c *blob.Checkpoint, _ *blob.UploadOptions) { c.SHA256 = nil },
		"resume hash":                                 func(c *blob.Checkpoint, _ *blob.UploadOptions) { c.SHA256 = []byte("x") },
		"Resume.Parts[1] has 0 bytes":                 func(c *blob.Checkpoint, _ *blob.UploadOptions) { c.Parts[1].Size = 0 },
		"Resume.Cursor is missing":                    func(_ *blob.Checkpoint, o *blob.UploadOptions) { o.Cursor = func() string { return "" } },
		"control character U+0001":                    func(c *blob.Checkpoint, _ *blob.UploadOptions) { c.Cursor = "\x01" },
		"Resume.Cursor is set, and no part is before": func(c *blob.Checkpoint, _ *blob.UploadOptions) { *c = blob.Checkpoint{Cursor: "next"} },
		"Resume.Parts[2] has the index 1: parts are ": func(c *blob.Checkpoint, _ *blob.UploadOptions) { c.Parts[2] = c.Parts[1] },
	} {
		c := good
		c.Parts = slices.Clone(good.Parts)
		o := small()
		o.Resume = &c
		change(&c, o)
		body := &script{err: io.EOF}
		_, err := blob.Stage(t.Context(), s, key, body, o)
		require.ErrorContains(t, err, want)
		require.EqualValues(t, 1, body.closed.Load())
	}
}

func TestResumable(t *testing.T) {
	t.Parallel()
	s := newMemStore()
	o := small()
	r := record(t, o)
	_, err := blob.Stage(t.Context(), s, key, &script{data: patternBytes(3*part + 5), err: io.ErrUnexpectedEOF}, o)
	require.Error(t, err)
	resumable := func(c *blob.Checkpoint) bool {
		ok, err := blob.Resumable(t.Context(), s, key, c)
		require.NoError(t, err)
		return ok
	}
	c := r.last()
	require.True(t, resumable(c))
	require.True(t, resumable(nil))
	require.True(t, resumable(&blob.Checkpoint{}))

	c.Parts[3].Size--
	require.False(t, resumable(c), "a part of another size")
	c.Parts[3].Size++
	delete(s.Staged[key], c.Parts[1].ID)
	require.False(t, resumable(c), "a part is gone")

	require.NoError(t, s.Abort(t.Context(), key))
	require.False(t, resumable(c))
}

// Azure drops parts a week after the last was staged: what is nearly as old is
// not gone on with, though it is there still.
func TestStaleUploadIsNotResumable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := blobtest.NewFaulty(newMemStore())
		o := small()
		r := record(t, o)
		_, err := blob.Stage(t.Context(), f, key, &script{data: patternBytes(3 * part), err: io.ErrUnexpectedEOF}, o)
		require.Error(t, err)
		c := r.last()
		require.Zero(t, c.StagedAt)
		c.StagedAt = time.Now()
		for _, young := range []bool{true, false} {
			ok, err := blob.Resumable(t.Context(), f, key, c)
			require.NoError(t, err)
			require.Equal(t, young, ok)
			time.Sleep(6*24*time.Hour - time.Second) // virtual
			ok, err = blob.Resumable(t.Context(), f, key, c)
			require.NoError(t, err)
			require.Equal(t, young, ok)
			time.Sleep(time.Second)
		}
		require.Equal(t, 2, f.Calls(blobtest.OpStagedParts), "the store need not be asked then")
		c.StagedAt = time.Time{}
		ok, err := blob.Resumable(t.Context(), f, key, c)
		require.NoError(t, err)
		require.True(t, ok, "an unknown time is the store's affair")
	})
}
