package backup

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	for n := 1; n < 200; n++ {
		d := backoff(n)
		most := min(time.Second<<min(n-1, 20), backoffMax)
		require.LessOrEqual(t, d, most)
		require.Greater(t, d, most*3/4-time.Millisecond)
	}
}

func TestNewWithoutConfig(t *testing.T) {
	t.Parallel()
	_, err := New(nil)
	require.EqualError(t, err, "Config must not be nil")
}

func TestDecide(t *testing.T) {
	t.Parallel()
	p := RetryPolicy{MaxAttempts: 3, RetryFor: time.Hour}
	err := errors.New("x")
	for name, c := range map[string]struct {
		err      error
		failures int
		age      time.Duration
		final    bool
	}{
		"first":                  {err, 0, 0, false},
		"last":                   {err, 2, 0, true},
		"permanent":              {Permanent(err, ""), 0, 0, true},
		"wrapped permanent":      {fmt.Errorf("y: %w", Permanent(err, "")), 0, 0, true},
		"too old":                {err, 0, time.Hour, true},
		"wait":                   {RetryAfter(err, time.Minute, ""), 50, 0, false},
		"wait beyond the bound":  {RetryAfter(err, time.Minute, ""), 0, time.Hour - time.Second, true},
		"wait longer than bound": {RetryAfter(err, 2*time.Hour, ""), 0, 0, true},
	} {
		require.Equal(t, c.final, p.decide(Classify(c.err), c.failures, c.age).Final, name)
	}
	require.False(t, RetryPolicy{MaxAttempts: 3}.decide(Classify(err), 0, 1<<60).Final, "no bound")
}

func FuzzEscapeSegment(f *testing.F) {
	for _, s := range []string{"", ".", "..", ".hidden", "a/b", "ü", "a b%2F", "acme.", "a.b..", "\x00", "~-_."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := escapeSegment(s)
		require.NotContains(t, e, "/")
		require.False(t, strings.HasPrefix(e, ".") || strings.HasSuffix(e, "."))
		back, err := url.PathUnescape(e)
		require.NoError(t, err)
		require.Equal(t, s, back, "no two ids share a name")
	})
}

func FuzzOneLine(f *testing.F) {
	f.Add("a\nb\r\nc\x00")
	f.Add(strings.Repeat("ü", 400))
	f.Fuzz(func(t *testing.T, s string) {
		got := oneLine(s)
		require.True(t, utf8.ValidString(got))
		require.LessOrEqual(t, len(got), maxMessage+len("…"))
		require.NotContains(t, got, "\n")
		require.NotContains(t, got, "\x00")
	})
}

// The rest of a large stream that has all but stopped takes longer than a Duration holds.
func TestETAOfAStreamThatHasAllButStopped(t *testing.T) {
	t.Parallel()
	size := int64(1 << 40)
	task := &Task{State: TaskRunning, AnnouncedSize: &size, Rate: 1}
	require.Equal(t, maxETA, *task.ETA())
	task.ReceivedBytes = size - 10
	require.Equal(t, 10*time.Second, *task.ETA())
}
