package jobs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// turnstile is a provider whose exports wait until they are let through, one
// after the other, and that counts who is inside.
type turnstile struct {
	enter  chan string   // has room for the user of each export that has begun
	let    chan struct{} // lets one through
	mu     sync.Mutex
	inside map[string]int // exports by user
	most   int            // at once
	ofUser int            // of one user at once
}

func newTurnstile() *turnstile {
	return &turnstile{enter: make(chan string, 10_000), let: make(chan struct{}), inside: make(map[string]int)}
}

func (g *turnstile) count(user string, by int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside[user] += by
	all := 0
	for _, n := range g.inside {
		all += n
	}
	g.most, g.ofUser = max(g.most, all), max(g.ofUser, g.inside[user])
}

func (g *turnstile) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	g.count(req.UserID, 1)
	defer g.count(req.UserID, -1)
	g.enter <- req.UserID
	select {
	case <-g.let:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return &backup.Export{Body: io.NopCloser(bytes.NewReader([]byte("x"))), Size: 1}, nil
}

// open lets everybody through from now on.
func (g *turnstile) open() { close(g.let) }

func (b *bundle) startFor(users ...string) (ids []string) {
	b.Helper()
	for _, u := range users {
		ids = append(ids, b.start(func(p *backup.StartParams) { p.UserID = u }))
	}
	return ids
}

func (b *bundle) requireDone(ids []string) {
	b.Helper()
	for _, id := range ids {
		got := b.wait(id)
		require.Equal(b, backup.StateDone, got.State, "%+v", got.Failure)
	}
}

func repeat(user string, n int) []string {
	users := make([]string, n)
	for i := range users {
		users[i] = user
	}
	return users
}

// next is the user of the next export that begins.
func (b *bundle) next(g *turnstile) string {
	b.Helper()
	select {
	case user := <-g.enter:
		return user
	case <-time.After(30 * time.Second):
		b.Fatal("no export began")
		return ""
	}
}

func TestLimitOfProviderOverAllProcesses(t *testing.T) {
	g := newTurnstile()
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: g, MaxWorkers: 6, MaxRunning: 3}}
	}})
	b.work()
	b.work() // as if it were another process: they share nothing but the database
	ids := b.startFor(repeat("u", 20)...)
	for range 3 {
		b.next(g)
	}
	b.eventually("the others to wait without a River job", 20*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {backup_slot} WHERE state = 'waiting'") >= 9 // what both have room for
	})
	require.Zero(t, b.count(`SELECT count(*) FROM {backup_task} t JOIN {backup_slot} s ON s.task_id = t.id WHERE s.state = 'waiting' AND t.river_job_id IS NOT NULL`))
	reconciled, err := b.client.Ledger().Reconcile(b.ctx, 1000)
	require.NoError(t, err)
	require.Zero(t, reconciled, "those that wait aren't lost")
	g.open()
	b.requireDone(ids)
	require.Equal(t, 3, g.most)
	b.requireSound()
}

func TestLimitOfUser(t *testing.T) {
	g := newTurnstile()
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.MaxRunningPerUser = 2
		c.Providers = []backup.ProviderConfig{{Name: "db", Provider: g, MaxWorkers: 10}, {Name: "site", Provider: g, MaxWorkers: 10}}
	}})
	b.work()
	ids := b.startFor("a", "a", "a", "b", "b", "c")
	seen := map[string]int{}
	for range 6 {
		seen[b.next(g)]++
	}
	require.Equal(t, map[string]int{"a": 2, "b": 2, "c": 2}, seen)
	g.open()
	b.requireDone(ids)
	require.Equal(t, 2, g.ofUser)
	b.requireSound()
}

func TestLimitOfProcess(t *testing.T) {
	g := newTurnstile()
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "db", Provider: g, MaxWorkers: 10}, {Name: "site", Provider: g, MaxWorkers: 10}}
	}})
	b.work(func(c *Config, _ *river.Config) { c.MaxTasks = 3 })
	ids := b.startFor(repeat("u", 6)...)
	for range 3 {
		b.next(g)
	}
	g.open()
	b.requireDone(ids)
	require.Equal(t, 3, g.most)
}

// Somebody with one backup doesn't wait behind another's long queue: of those at
// most what runs already goes first, whatever it is that has no more room.
func TestOneUserDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		provider backup.ProviderConfig
		maxTasks int
		backups  int
	}{
		"workers": {provider: backup.ProviderConfig{MaxWorkers: 1}, backups: envtest.Count(100, 1000)},
		"limit":   {provider: backup.ProviderConfig{MaxWorkers: 1, MaxRunning: 1}, backups: envtest.Count(100, 1000)},
		"process": {provider: backup.ProviderConfig{MaxWorkers: 20}, maxTasks: 1, backups: 40},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTurnstile()
			c.provider.Name, c.provider.Provider = "site", g
			b := setup(t, setupOptions{config: func(bc *backup.Config) { bc.Providers = []backup.ProviderConfig{c.provider} }})
			params := make([]backup.StartParams, c.backups)
			for i := range params {
				params[i] = backup.StartParams{UserID: "busy", SiteID: fmt.Sprint(i)}
			}
			_, err := b.client.StartMany(b.ctx, params)
			require.NoError(t, err)
			b.work(func(wc *Config, _ *river.Config) { wc.MaxTasks = c.maxTasks })
			require.Equal(t, "busy", b.next(g))
			b.planned("busy", c.backups)
			single := b.startFor("single")
			b.planned("single", 1)
			behind := 0
			for user := "busy"; user == "busy"; behind++ {
				g.let <- struct{}{}
				user = b.next(g)
			}
			require.LessOrEqual(t, behind, 2, "at most one slot later")
			g.let <- struct{}{}
			b.requireDone(single)
		})
	}
}

// planned waits until n backups of a user have tasks.
func (b *bundle) planned(user string, n int) {
	b.Helper()
	b.eventually("the plans of "+user, time.Minute, func() bool {
		return b.count("SELECT count(DISTINCT t.backup_id) FROM {backup_task} t JOIN {backup} b ON b.id = t.backup_id WHERE b.user_id = $1", user) == n
	})
}

// A backup that is asked for while another user's many are still to be planned is
// planned before them.
func TestPlansOfOneUserDoNotHoldUpAnother(t *testing.T) {
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: tiny{}}}
	}})
	params := make([]backup.StartParams, 60)
	for i := range params {
		params[i] = backup.StartParams{UserID: "busy", SiteID: fmt.Sprint(i)}
	}
	_, err := b.client.StartMany(b.ctx, params)
	require.NoError(t, err)
	single := b.startFor("single")[0]
	b.work(func(c *Config, _ *river.Config) { c.ControlWorkers = 1 })
	require.Equal(t, backup.StateDone, b.wait(single).State)
	require.Less(t, b.count("SELECT count(*) FROM {backup} WHERE state <> 'pending' AND user_id = 'busy'"), 30)
}

// Whoever waits for room and is canceled waits no more, and a retry begins anew.
func TestCanceledWhileWaitingForRoom(t *testing.T) {
	g := newTurnstile()
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: g, MaxRunning: 1}}
	}})
	b.work()
	first := b.startFor("a")
	b.next(g)
	second := b.startFor("b")[0]
	b.eventually("the second to wait", 10*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {backup_slot} WHERE state = 'waiting'") == 1
	})
	got, err := b.client.Cancel(b.ctx, second)
	require.NoError(t, err)
	require.Equal(t, backup.StateCanceled, got.State)
	g.let <- struct{}{}
	b.requireDone(first)
	_, err = b.client.Ledger().Reconcile(b.ctx, 10)
	require.NoError(t, err)
	require.Zero(t, b.count("SELECT count(*) FROM {backup_slot}"), "slots of what has ended are dropped")

	_, err = b.client.Retry(b.ctx, second)
	require.NoError(t, err)
	b.next(g)
	g.open()
	b.requireDone([]string{second})
	b.requireSound()
}

// The room of a worker that died goes to those that wait once its lease has
// ended, and its task waits for room like any other.
func TestRoomOfADeadWorker(t *testing.T) {
	g := newTurnstile()
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: g, MaxRunning: 1}}
	}})
	l := b.client.Ledger()
	plan := func(user string) backup.TaskArgs {
		id := b.startFor(user)[0]
		w, err := l.ClaimPlan(b.ctx, id, backup.ClaimParams{JobID: int64(b.count("SELECT river_job_id FROM {backup} WHERE id = $1", id)), Worker: "w", Duration: time.Minute})
		require.NoError(t, err)
		require.NoError(t, l.FinishPlan(b.ctx, w.Lease, []backup.Planned{{Provider: "site", Size: -1}}))
		got, err := b.client.Get(b.ctx, id)
		require.NoError(t, err)
		return backup.TaskArgs{BackupID: id, TaskID: got.Tasks[0].ID, Provider: "site"}
	}
	claim := func(a backup.TaskArgs) error {
		_, err := l.ClaimTask(b.ctx, a, backup.ClaimParams{JobID: int64(b.count("SELECT coalesce(river_job_id, 0) FROM {backup_task} WHERE id = $1", a.TaskID)), Worker: "w", Duration: time.Minute})
		return err
	}
	admit := func() int {
		n, err := l.Admit(b.ctx, 10)
		require.NoError(t, err)
		return n
	}
	dead, next := plan("a"), plan("b")
	require.NoError(t, claim(dead))
	var wait *backup.WaitError
	require.ErrorAs(t, claim(next), &wait)
	require.Equal(t, "1 tasks of provider site run, the most that may", wait.Reason)
	require.Zero(t, admit(), "there is no room")
	b.exec("UPDATE {backup_task} SET lease_until = now() - interval '1s' WHERE id = $1", dead.TaskID)
	require.Equal(t, 1, admit())
	require.Zero(t, admit(), "what was admitted takes up room")
	require.ErrorAs(t, claim(dead), &wait, "the dead worker's task has lost its room")
	require.NoError(t, claim(next))
}
