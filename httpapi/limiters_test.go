package httpapi

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimitersAreBounded(t *testing.T) {
	t.Parallel()
	l := newLimiters(0.001, 1, 100)
	require.Zero(t, l.take("used often"))
	for i := range 10_000 {
		require.Zero(t, l.take(fmt.Sprint(i)))
		require.NotZero(t, l.take("used often"), "what is in use is not forgotten")
		require.LessOrEqual(t, len(l.byKey), 100)
		require.Equal(t, len(l.byKey), l.newest.Len())
	}
	require.NotZero(t, l.take("9999"))
	require.Zero(t, l.take("1"), "forgotten")
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1:99": "192.0.2.1", "[::ffff:192.0.2.1]:99": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:99": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:99": "fe80::/64", "192.0.2.1": "192.0.2.1", "@": "@", "": "",
	} {
		require.Equal(t, want, network(remote))
	}
}

// Whole seconds, and never too early.
func TestRetryAfterIsRoundedUp(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 5 * time.Second: "5"} {
		require.Equal(t, want, rateProblem(wait, "x").GetHeaders().Get("Retry-After"))
	}
	require.Nil(t, rateProblem(0, "x"))
}
