package backup_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sitebackup/sitebackup/backup"
)

// watch runs a watcher until the test ends.
func (b *bundle) watch(client *backup.Client, cfg *backup.WatcherConfig) (w *backup.Watcher, stop func()) {
	b.Helper()
	w, err := client.NewWatcher(cfg)
	require.NoError(b, err)
	return w, b.run(w)
}

func (b *bundle) run(w *backup.Watcher) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	running.Go(func() { require.NoError(b, w.Run(ctx)) })
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	b.Cleanup(stop)
	return stop
}

// neverPoll has a watcher learn of events from notifications only.
var neverPoll = &backup.WatcherConfig{PollInterval: time.Hour}

func (b *bundle) subscribe(w *backup.Watcher, id string, after int64) *backup.Subscription {
	b.Helper()
	s, err := w.Watch(id, after)
	require.NoError(b, err)
	b.Cleanup(s.Close)
	return s
}

// until reads events up to the one numbered seq, and says how they are numbered.
func (b *bundle) until(s *backup.Subscription, seq int64) (seqs []int64) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	for len(seqs) == 0 || seqs[len(seqs)-1] < seq {
		events, err := s.Next(ctx)
		require.NoError(b, err, "after %v", seqs)
		require.NotEmpty(b, events)
		for _, e := range events {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}

// ensureLive returns when the reader has caught up and waits.
func (b *bundle) ensureLive(s *backup.Subscription) {
	b.Helper()
	for waited := false; !waited || !s.Live(); waited = true {
		require.False(b, b.gets(s))
	}
}

// gets reports whether there are events for a reader soon.
func (b *bundle) gets(s *backup.Subscription) bool {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
	defer cancel()
	_, err := s.Next(ctx)
	if err != nil {
		require.ErrorIs(b, err, context.DeadlineExceeded)
	}
	return err == nil
}

func numbers(from, to int64) (all []int64) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

// insertEvents writes events as another process does that tells nobody.
func (b *bundle) insertEvents(id string, n int) {
	b.Helper()
	b.exec(`WITH u AS (UPDATE {backup} SET event_seq = event_seq + $2 WHERE id = $1 RETURNING event_seq - $2 AS seq)
		INSERT INTO {backup_event} (backup_id, seq, name, provider, data) SELECT $1, u.seq + n, 'UpdatePartTask', 'site', jsonb_build_object('state', 'running')
		FROM u, generate_series(1, $2) n`, id, n)
}

func (b *bundle) notify(payload string) {
	b.Helper()
	b.exec("SELECT pg_notify($1, $2)", b.schema+".backup_event", payload)
}

// otherClient is that of another process.
func (b *bundle) otherClient() *backup.Client {
	b.Helper()
	client, err := backup.New(&backup.Config{Pool: b.pool, Schema: b.schema, Logger: b.client.Logger()})
	require.NoError(b, err)
	return client
}

// listeners counts the connections that wait for notifications of this schema.
func (b *bundle) listeners() int {
	b.Helper()
	return b.count("SELECT count(*)::int FROM pg_stat_activity WHERE query = $1", b.listenStatement())
}

func (b *bundle) listenStatement() string { return `LISTEN "` + b.schema + `.backup_event"` }

func TestWatchReplaysThenFollows(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.insertEvents(id, 300)
	w, _ := b.watch(b.client, neverPoll)
	all, some, none := b.subscribe(w, id, 0), b.subscribe(w, strings.ToUpper(id), 100), b.subscribe(w, id, 1_000_000)
	require.Equal(t, numbers(1, 301), b.until(all, 301))
	require.Equal(t, numbers(101, 301), b.until(some, 301))
	b.ensureLive(none)

	b.insertEvents(id, 200)
	b.notify("x " + id + " y")
	for _, s := range []*backup.Subscription{all, some, none} {
		require.Equal(t, numbers(302, 501), b.until(s, 501), "one that asked for what isn't there gets what comes")
	}
	b.insertEvents(id, 1)
	b.notify("")
	require.Equal(t, numbers(502, 502), b.until(all, 502))
}

// Every way in which events are written has to notify: there is no poll here.
func TestWatchIsNotifiedOfEveryEvent(t *testing.T) {
	t.Parallel()
	for name, ledger := range map[string]func(*backup.Ledger) *backup.Ledger{
		"grouped": func(l *backup.Ledger) *backup.Ledger { return l },
		"general": (*backup.Ledger).General,
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			w, _ := b.watch(b.otherClient(), neverPoll)
			b.ledger = ledger(b.client.Ledger())
			started := b.start()
			s := b.subscribe(w, started.ID, 0)
			seen := int64(1)
			require.Equal(t, numbers(1, 1), b.until(s, 1))
			see := func(step string) {
				now := int64(b.count("SELECT event_seq::int FROM {backup} WHERE id = $1", started.ID))
				require.Greater(t, now, seen, step)
				require.Equal(t, numbers(seen+1, now), b.until(s, now), step)
				seen = now
			}
			b.plan(started.ID, "site")
			see("plan")
			work := b.claim(started.ID, "site")
			see("claim")
			b.gate(work)
			see("gate")
			require.NoError(t, b.ledger.FinishTask(b.ctx, work.Lease))
			see("finish")
			step, err := b.ledger.ClaimSeal(b.ctx, started.ID, claim(b.job(started.ID, "")))
			require.NoError(t, err)
			_, _, err = b.ledger.SaveManifest(b.ctx, step)
			require.NoError(t, err)
			require.NoError(t, b.ledger.FinishSeal(b.ctx, step.Lease))
			see("seal")
			require.Equal(t, backup.StateDone, b.get(started.ID).State)
		})
	}
}

func TestWatchIsNotifiedByTransactionsOfOthers(t *testing.T) {
	b := setup(t)
	w, _ := b.watch(b.otherClient(), neverPoll)
	id := b.start().ID
	s := b.subscribe(w, id, 1)
	b.ensureLive(s)
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	_, err = b.client.CancelTx(b.ctx, tx, id)
	require.NoError(t, err)
	b.ensureLive(s)
	require.NoError(t, tx.Commit(b.ctx))
	require.Equal(t, numbers(2, 2), b.until(s, 2))
	_, err = b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, numbers(3, 3), b.until(s, 3))
}

func TestWatchDropsSlowReadersOnly(t *testing.T) {
	b := setup(t)
	w, _ := b.watch(b.client, &backup.WatcherConfig{PollInterval: time.Hour, MaxUnread: 64})
	id := b.start().ID
	slow, fast := b.subscribe(w, id, 1), b.subscribe(w, id, 1)
	b.ensureLive(slow)
	b.ensureLive(fast)
	for n := range int64(20) {
		b.insertEvents(id, 10)
		b.notify(id)
		require.Equal(t, numbers(2+10*n, 11+10*n), b.until(fast, 11+10*n))
	}
	_, err := slow.Next(b.ctx)
	require.ErrorIs(t, err, backup.ErrSlowReader)
	require.Equal(t, numbers(2, 201), b.until(b.subscribe(w, id, 1), 201), "it may begin again, and has lost nothing")
}

func TestWatchSharesReads(t *testing.T) {
	b := setup(t)
	w, _ := b.watch(b.client, neverPoll)
	id := b.start().ID
	subs := make([]*backup.Subscription, 10)
	for i := range subs {
		subs[i] = b.subscribe(w, id, 1)
		b.ensureLive(subs[i])
	}
	b.insertEvents(id, 5)
	b.notify(id)
	first, err := subs[0].Next(b.ctx)
	require.NoError(t, err)
	for _, s := range subs[1:] {
		events, err := s.Next(b.ctx)
		require.NoError(t, err)
		require.Same(t, &first[0], &events[0])
	}
}

func TestWatchEnds(t *testing.T) {
	b := setup(t)
	w, stop := b.watch(b.client, &backup.WatcherConfig{PollInterval: 20 * time.Millisecond})
	_, err := w.Watch("x", 0)
	require.ErrorIs(t, err, backup.ErrNotFound)
	_, err = b.subscribe(w, "019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b", 0).Next(b.ctx)
	require.ErrorIs(t, err, backup.ErrNotFound)

	deleted, kept, closed := b.subscribe(w, b.start().ID, 0), b.start().ID, b.subscribe(w, b.start().ID, 0)
	b.until(deleted, 1)
	b.exec("DELETE FROM {backup} WHERE id <> $1", kept)
	_, err = deleted.Next(b.ctx)
	require.ErrorIs(t, err, backup.ErrNotFound)
	closed.Close()
	closed.Close()
	_, err = closed.Next(b.ctx)
	require.Error(t, err)

	s := b.subscribe(w, kept, 0)
	b.until(s, 1)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Next(b.ctx)
		ended <- err
	}()
	stop()
	require.ErrorIs(t, <-ended, backup.ErrWatcherStopped)
	_, err = b.subscribe(w, kept, 0).Next(b.ctx)
	require.ErrorIs(t, err, backup.ErrWatcherStopped)
	require.Error(t, w.Run(b.ctx), "it runs once")
	<-w.Done()
}

func TestWatcherConfig(t *testing.T) {
	t.Parallel()
	client, err := backup.New(&backup.Config{})
	require.NoError(t, err)
	w, err := client.NewWatcher(nil)
	require.NoError(t, err)
	require.ErrorContains(t, w.Run(t.Context()), "Pool")
	s, err := w.Watch("019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b", 0)
	require.NoError(t, err)
	_, err = s.Next(t.Context())
	require.ErrorContains(t, err, "Pool")
	for _, cfg := range []backup.WatcherConfig{{PollInterval: time.Millisecond}, {MaxUnread: 63}, {MaxUnread: -1}} {
		_, err := client.NewWatcher(&cfg)
		require.Error(t, err)
	}
}

// Everything that a watcher and a notifier start has ended behind them. Tests that
// aren't parallel run while no other does.
func TestWatchLeaksNothing(t *testing.T) {
	b := setupHere(t)
	id := b.start().ID
	others := goleak.IgnoreCurrent()
	w, stop := b.watch(b.client, nil)
	s := b.subscribe(w, id, 0)
	b.until(s, 1)
	_, err := b.client.Cancel(b.ctx, id)
	require.NoError(t, err)
	b.until(s, 2)
	stop()
	goleak.VerifyNone(t, others)
	require.Zero(t, b.listeners())
}

func TestWatchWithoutRun(t *testing.T) {
	b := setup(t)
	w, err := b.client.NewWatcher(&backup.WatcherConfig{PollInterval: 20 * time.Millisecond})
	require.NoError(t, err)
	id := b.start().ID
	s, other := b.subscribe(w, id, 0), b.subscribe(w, id, 0)
	require.Equal(t, numbers(1, 1), b.until(s, 1))
	b.insertEvents(id, 100)
	require.Equal(t, numbers(2, 101), b.until(s, 101))
	b.insertEvents(id, 1)
	require.Equal(t, numbers(1, 102), b.until(other, 102))
	b.run(w)
	require.Equal(t, numbers(102, 102), b.until(s, 102))
	b.exec("DELETE FROM {backup} WHERE id = $1", id)
	_, err = s.Next(b.ctx)
	require.ErrorIs(t, err, backup.ErrNotFound)
}

// A Watcher that nobody runs has its readers look by themselves, also those that give up
// sooner than that and come again.
func TestWatchWithoutRunInShortCalls(t *testing.T) {
	b := setup(t)
	w, err := b.client.NewWatcher(&backup.WatcherConfig{PollInterval: 200 * time.Millisecond})
	require.NoError(t, err)
	id := b.start().ID
	s := b.subscribe(w, id, 1)
	b.ensureLive(s)
	b.insertEvents(id, 1)
	for tries := 0; ; tries++ {
		require.Less(t, tries, 100)
		ctx, cancel := context.WithTimeout(b.ctx, 50*time.Millisecond)
		events, err := s.Next(ctx)
		cancel()
		if err == nil {
			require.Equal(t, int64(2), events[0].Seq)
			return
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}
