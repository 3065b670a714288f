package backup

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A reader that has caught up with the table joins the others only where the feed
// still holds what was written meanwhile; else it reads on by itself.
func TestWatchJoins(t *testing.T) {
	t.Parallel()
	w := &Watcher{wake: make(chan struct{}, 1)}
	f := &feed{subs: make(map[*Subscription]struct{}), changed: make(chan struct{})}
	subscribe := func(seq int64) *Subscription {
		s := &Subscription{w: w, f: f, seq: seq}
		f.subs[s] = struct{}{}
		s.join()
		return s
	}
	first := subscribe(10)
	require.True(t, first.live)
	f.add([]Event{{Seq: 11}, {Seq: 12}}, 64)
	f.trim(11) // the first reader has taken it
	first.seq = 12
	require.True(t, subscribe(13).live, "ahead of the feed")
	require.True(t, subscribe(11).live)
	require.Equal(t, []Event{{Seq: 12}}, f.after(11))
	require.False(t, subscribe(10).live, "event 11 is forgotten")
}
