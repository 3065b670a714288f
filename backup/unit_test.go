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
		"wait, nobody says":      {RetryAfter(err, 0, ""), 50, 0, false},
		"wait longer than bound": {RetryAfter(err, 2*time.Hour, ""), 0, 0, true},
	} {
		require.Equal(t, c.final, p.decide(Classify(c.err), c.failures, c.age).Final, name)
	}
	require.False(t, RetryPolicy{MaxAttempts: 3}.decide(Classify(err), 0, 1<<60).Final, "no bound")
}

// Where nobody says how long to wait the waits grow, and end with what bounds all.
func TestWaitsGrow(t *testing.T) {
	t.Parallel()
	p := RetryPolicy{MaxAttempts: 1, RetryFor: 24 * time.Hour}
	var age, last time.Duration
	waits := 0
	for ; ; waits++ {
		out := p.decide(Classify(RetryAfter(errors.New("503"), 0, "")), 0, age)
		if out.Final {
			break
		}
		require.LessOrEqual(t, out.Delay, 5*time.Minute)
		require.Greater(t, out.Delay, 500*time.Millisecond)
		age, last = age+out.Delay, out.Delay
	}
	require.Greater(t, last, 3*time.Minute)
	require.Less(t, waits, 500)
	require.Greater(t, age, 23*time.Hour)
	step := &change{b: &Backup{}}
	out := step.failedStep(Classify(RetryAfter(errors.New("503"), 0, "")), p, time.Hour)
	require.False(t, out.Final)
	require.Greater(t, out.Delay, 3*time.Minute)
	require.Zero(t, step.b.failures)
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
		require.LessOrEqual(t, len(got), maxMessage)
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
