package blob_test

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

func TestCursorIsChecked(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("x", blob.MaxCursorLen)
	for cursor, want := range map[string]string{
		good:       "",
		"päge 7 ✓": "",
		good + "x": "it has 8193 bytes",
		"a\x00b":   "control character U+0000",
		"a\nb":     "control character U+000A",
		"\u0085":   "control character U+0085",
		"a\xffb":   "not UTF-8",
	} {
		s := newMemStore()
		o := small()
		o.Cursor = func() string { return cursor }
		body := &script{data: patternBytes(100), err: io.EOF}
		_, err := blob.Stage(t.Context(), s, key, body, o)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, blob.ErrCursor)
		require.ErrorContains(t, err, want)
		var source *blob.SourceError
		require.ErrorAs(t, err, &source)
		require.EqualValues(t, 1, body.closed.Load())
	}
}

// A Read that has failed says nothing about where the source can go on.
func TestNoCursorAfterAFailedRead(t *testing.T) {
	t.Parallel()
	o := small()
	failed := false
	body := readFunc(func(b []byte) (int, error) {
		failed = true
		return len(b) / 2, io.ErrUnexpectedEOF
	})
	o.Cursor = func() string {
		require.False(t, failed)
		return "mark"
	}
	r := record(t, o)
	_, err := blob.Stage(t.Context(), newMemStore(), key, body, o)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Nil(t, r.last())
}

type readFunc func(b []byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }
func (readFunc) Close() error                 { return nil }

// Marks without bytes don't keep an upload going for ever.
func TestEmptyPages(t *testing.T) {
	t.Parallel()
	o := small()
	o.Cursor = func() string { return "next" }
	_, err := blob.Stage(t.Context(), newMemStore(), key, readFunc(func([]byte) (int, error) { return 0, nil }), o)
	require.ErrorIs(t, err, io.ErrNoProgress)

	// Nor behind a page that fills parts of its own.
	o = small()
	left := 3*part + 5
	o.Cursor = func() string {
		if left > 0 {
			return ""
		}
		return "next"
	}
	reads := 0
	_, err = blob.Stage(t.Context(), newMemStore(), key, readFunc(func(b []byte) (int, error) {
		n := min(len(b), left)
		left -= n
		if reads++; reads > 1000 {
			return 0, io.EOF
		}
		return n, nil
	}), o)
	require.ErrorIs(t, err, io.ErrNoProgress)

	// A few are passed over, and the last one's cursor counts.
	o = small()
	reads = 0
	o.Cursor = func() string { return strconv.Itoa(reads) }
	r := record(t, o)
	_, err = blob.Stage(t.Context(), newMemStore(), key, readFunc(func([]byte) (int, error) {
		switch reads++; reads {
		case 1:
			return 10, nil
		case 5:
			return 0, errors.New("cut")
		}
		return 0, nil
	}), o)
	require.ErrorContains(t, err, "cut")
	require.EqualValues(t, 10, r.last().Offset)
	require.Equal(t, "4", r.last().Cursor)
}
