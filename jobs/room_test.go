package jobs

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// Room goes to the highest priority, among equals to who came first, and to
// nobody who has given up.
func TestRoomByPriority(t *testing.T) {
	t.Parallel()
	r := &room{free: 1}
	require.True(t, r.enter(t.Context(), 4))
	entered := make(chan string, 10)
	stand := func(ctx context.Context, name string, priority int) {
		before := r.line()
		go func() {
			if !r.enter(ctx, priority) {
				name = "not " + name
			}
			entered <- name
		}()
		require.Eventually(t, func() bool { return r.line() == before+1 }, 10*time.Second, time.Millisecond)
	}
	stand(t.Context(), "many 1", 4)
	stand(t.Context(), "many 2", 4)
	stand(t.Context(), "some", 2)
	ctx, cancel := context.WithCancel(t.Context())
	stand(ctx, "gone", 1)
	stand(t.Context(), "one 1", 1)
	stand(t.Context(), "one 2", 1)
	cancel()
	require.Equal(t, "not gone", <-entered)
	for _, want := range []string{"one 1", "one 2", "some", "many 1", "many 2"} {
		r.leave()
		require.Equal(t, want, <-entered)
	}
	r.leave()
	require.Equal(t, 1, r.free)

	require.True(t, r.enter(t.Context(), 1))
	late := r.take(1)
	r.leave()
	r.giveUp(late) // although it has just been given room
	require.Equal(t, 1, r.free)
}

// line is how many wait.
func (r *room) line() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// Where the queues of several providers share the room of a process, somebody's
// single task doesn't wait behind those of somebody with many that were fetched
// before it.
func TestRoomGoesToWhoHasFewBackups(t *testing.T) {
	g := newTurnstile()
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		for _, name := range []string{"a", "b", "c", "d"} {
			c.Providers = append(c.Providers, backup.ProviderConfig{Name: name, Provider: g, MaxWorkers: 4})
		}
	}})
	start := func(user, provider string) string {
		return b.start(func(p *backup.StartParams) { p.UserID, p.Providers = user, []string{provider} })
	}
	for _, provider := range strings.Split("aaaabbbbcccc", "") {
		start("busy", provider)
	}
	client, w := b.riverClient(func(c *Config, rc *river.Config) {
		c.MaxTasks, rc.JobTimeout, rc.RescueStuckJobsAfter = 2, rescueAfter, rescueAfter
	})
	require.NoError(t, client.Start(b.ctx))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 30*time.Second)
		defer cancel()
		require.NoError(t, client.StopAndCancel(ctx))
	})
	line := func(n int) {
		b.eventually("tasks to wait for room", 8*time.Second, func() bool { return w.room.line() == n })
	}
	for range 2 {
		require.Equal(t, "busy", b.next(g))
	}
	line(4) // of three queues, with room for two tasks each
	single := start("single", "d")
	line(5)
	behind := 0
	for user := "busy"; user == "busy"; behind++ {
		g.let <- struct{}{}
		user = b.next(g)
	}
	require.LessOrEqual(t, behind, 2, "the first backup of each goes before the rest")
	g.open()
	b.requireDone([]string{single})
}

// No job waits for room until the rescuer takes it for a dead worker's.
func TestPatienceEndsBeforeTheRescue(t *testing.T) {
	b := setup(t, setupOptions{})
	for after, want := range map[time.Duration]time.Duration{0: enterPatience, 30 * time.Second: enterPatience, 4 * time.Second: 2 * time.Second} {
		w, err := New(b.client, testConfig())
		require.NoError(t, err)
		rc := &river.Config{RescueStuckJobsAfter: after}
		require.NoError(t, w.Configure(rc))
		require.Equal(t, want, w.patience)
		require.Greater(t, rc.RescueStuckJobsAfter, w.patience)
	}
}
