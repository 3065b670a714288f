package blob_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
)

func TestStageAndCommit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, part - 1, part, part + 1, 2 * part, 9*part + 12_345} {
		for _, step := range []int{0, 1 << 10, 7} {
			t.Run(fmt.Sprintf("%d by %d", size, step), func(t *testing.T) {
				t.Parallel()
				s, err := fileblob.New(t.TempDir(), nil)
				require.NoError(t, err)
				data := patternBytes(size)
				body := &script{data: data, step: step, err: io.EOF, together: step == 7}
				c, err := blob.Stage(t.Context(), s, key, body, small())
				require.NoError(t, err)
				require.EqualValues(t, 1, body.closed.Load())
				requireContent(t, c, data)
				require.Len(t, c.Parts, (size+part-1)/part)

				_, err = s.Stat(t.Context(), key)
				require.ErrorIs(t, err, blob.ErrNotFound, "Stage must show nothing")
				require.NoError(t, blob.Commit(t.Context(), s, key, uploadID, c, "text/plain"))
				requireObject(t, s, data)
			})
		}
	}
}

func TestStageReadsInAnyManner(t *testing.T) {
	t.Parallel()
	data := patternBytes(3*part + 100)
	for name, reader := range map[string]io.Reader{
		"data with error": iotest.DataErrReader(&script{data: data, err: io.EOF}),
		"half":            iotest.HalfReader(&script{data: data, err: io.EOF}),
		"one byte":        iotest.OneByteReader(&script{data: data, err: io.EOF}),
	} {
		c, err := blob.Stage(t.Context(), newMemStore(), key, io.NopCloser(reader), small())
		require.NoError(t, err, name)
		requireContent(t, c, data)
	}
}

// Only io.EOF itself is the end. Nothing else may ever look like a whole stream.
func TestCutStreamIsNoStream(t *testing.T) {
	t.Parallel()
	cuts := map[string]error{
		"unexpected EOF":        io.ErrUnexpectedEOF,
		"EOF in a url.Error":    &url.Error{Op: "Get", URL: "http://site/export", Err: io.EOF},
		"EOF wrapped":           fmt.Errorf("read: %w", io.EOF),
		"EOF joined":            errors.Join(io.EOF),
		"any error":             errors.New("connection reset"),
		"canceled by the other": context.Canceled,
	}
	for name, cut := range cuts {
		for _, size := range []int{0, 1, part, part + 5, 3 * part, 3*part + 77} {
			for _, together := range []bool{false, true} {
				data := patternBytes(size)
				s := newMemStore()
				o := small()
				r := record(t, o)
				body := &script{data: data, err: cut, together: together}
				_, err := blob.Stage(t.Context(), s, key, body, o)
				var source *blob.SourceError
				require.ErrorAs(t, err, &source, name)
				require.ErrorIs(t, err, cut)
				require.EqualValues(t, size, source.Offset)
				require.EqualValues(t, 1, body.closed.Load())
				require.Empty(t, s.Objects)

				// What was received is kept, to its last byte.
				if size > 0 {
					require.EqualValues(t, size, r.last().Offset, "%s at %d", name, size)
				}
				requireResumes(t, s, r.last(), patternBytes(5*part))
			}
		}
	}
}

// requireResumes checks that an upload of data goes on from c to the right end.
func requireResumes(t *testing.T, s blob.Store, c *blob.Checkpoint, data []byte) {
	t.Helper()
	ok, err := blob.Resumable(t.Context(), s, key, c)
	require.NoError(t, err)
	require.True(t, ok)
	o := small()
	o.Token = [16]byte{9} // another worker
	o.Resume = c
	offset := int64(0)
	if c != nil {
		offset = c.Offset
	}
	content, err := blob.Stage(t.Context(), s, key, &script{data: data[offset:], err: io.EOF}, o)
	require.NoError(t, err)
	requireContent(t, content, data)
	require.NoError(t, blob.Commit(t.Context(), s, key, uploadID, content, ""))
	requireObject(t, s, data)
}

type badCount int

func (n badCount) Read([]byte) (int, error) { return int(n), nil }

func TestImpossibleReaders(t *testing.T) {
	t.Parallel()
	for _, n := range []badCount{-1, part + 1} {
		_, err := blob.Stage(t.Context(), newMemStore(), key, io.NopCloser(n), small())
		require.ErrorContains(t, err, "impossible count")
	}
	_, err := blob.Stage(t.Context(), newMemStore(), key, io.NopCloser(badCount(0)), small())
	require.ErrorIs(t, err, io.ErrNoProgress)
}

func TestMaxSize(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, part - 1, part, part + 1, 3*part + 5} {
		o := small()
		o.MaxSize = int64(limit)
		c, err := blob.Stage(t.Context(), newMemStore(), key, &script{data: patternBytes(limit), err: io.EOF}, o)
		require.NoError(t, err)
		require.EqualValues(t, limit, c.Size)

		body := &script{data: patternBytes(10 * part), err: io.EOF}
		_, err = blob.Stage(t.Context(), newMemStore(), key, body, o)
		var over *blob.LimitError
		require.ErrorAs(t, err, &over)
		require.Equal(t, blob.LimitError{Limit: int64(limit), Received: int64(limit) + 1}, *over)
		require.ErrorContains(t, err, fmt.Sprintf("the limit of %d bytes: %d were received", limit, limit+1))
		require.EqualValues(t, limit+1, body.read.Load(), "reading must stop at once")
		require.EqualValues(t, 1, body.closed.Load())
	}
}

func TestMaxSizeCountsWhatWasStagedBefore(t *testing.T) {
	t.Parallel()
	data := patternBytes(4 * part)
	s := newMemStore()
	o := small()
	r := record(t, o)
	_, err := blob.Stage(t.Context(), s, key, &script{data: data[:2*part], err: io.ErrUnexpectedEOF}, o)
	require.Error(t, err)

	var over *blob.LimitError
	for _, limit := range []int64{2*part - 1, 2 * part, 3 * part} {
		o = small()
		o.MaxSize, o.Resume = limit, r.last()
		_, err = blob.Stage(t.Context(), s, key, &script{data: data[2*part:], err: io.EOF}, o)
		require.ErrorAs(t, err, &over)
		require.Equal(t, limit, over.Limit)
	}
	o = small()
	o.MaxSize, o.Resume = 4*part, r.last()
	_, err = blob.Stage(t.Context(), s, key, &script{data: data[2*part:], err: io.EOF}, o)
	require.NoError(t, err)
}

func TestProgress(t *testing.T) {
	t.Parallel()
	o := small()
	var seen []int64
	o.Progress = func(n int64) { seen = append(seen, n) }
	_, err := blob.Stage(t.Context(), newMemStore(), key, &script{data: patternBytes(part + 10), step: part / 2, err: io.EOF}, o)
	require.NoError(t, err)
	require.Equal(t, []int64{part / 2, part, part + 10}, seen)
}

// A part whose bytes change on their way is sent again.
func TestChecksumIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := blobtest.NewFaulty(newMemStore())
	f.Fail(blobtest.OpStagePart, 1, blob.ErrChecksum)
	f.Fail(blobtest.OpStagePart, 2, fmt.Errorf("stage: %w", blob.ErrChecksum))
	_, err := blob.Stage(t.Context(), f, key, &script{data: patternBytes(part), err: io.EOF}, small())
	require.NoError(t, err)
	require.Equal(t, 3, f.Calls(blobtest.OpStagePart))

	for i := range 3 {
		f.Fail(blobtest.OpStagePart, i+1, blob.ErrChecksum)
	}
	_, err = blob.Stage(t.Context(), f, key, &script{data: patternBytes(part), err: io.EOF}, small())
	require.ErrorIs(t, err, blob.ErrChecksum)
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*blob.UploadOptions){
		"UploadID must not be zero":                   func(o *blob.UploadOptions) { o.UploadID = [16]byte{} },
		"Token must not be zero":                      func(o *blob.UploadOptions) { o.Token = [16]byte{} },
		"PartSize is 1 bytes":                         func(o *blob.UploadOptions) { o.PartSize = 1 },
		"PartSize is 4194304001 bytes":                func(o *blob.UploadOptions) { o.PartSize = 4000<<20 + 1 },
		"Concurrency is 65, must be between 1 and 64": func(o *blob.UploadOptions) { o.Concurrency = 65 },
		"Concurrency is -1":                           func(o *blob.UploadOptions) { o.Concurrency = -1 },
		"JournalBytes must not be negative":           func(o *blob.UploadOptions) { o.JournalBytes = -1 },
		"JournalInterval must not be negative":        func(o *blob.UploadOptions) { o.JournalInterval = -1 },
		"MaxSize must not be negative":                func(o *blob.UploadOptions) { o.MaxSize = -1 },
		"StallTimeout must not be negative":           func(o *blob.UploadOptions) { o.StallTimeout = -1 },
	} {
		o := options()
		change(o)
		body := &script{err: io.EOF}
		_, err := blob.Stage(t.Context(), newMemStore(), key, body, o)
		require.ErrorContains(t, err, want)
		require.EqualValues(t, 1, body.closed.Load(), "the body must be closed")
	}
	_, err := blob.Stage(t.Context(), newMemStore(), key, &script{}, nil)
	require.ErrorContains(t, err, "options must not be nil")
	_, err = blob.Stage(t.Context(), newMemStore(), "../a", &script{}, options())
	require.ErrorContains(t, err, `must not have the segment ".."`)
}
