package backup_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// hook is a Config.OnEvent that notes what it is told, and fails as often as it should.
type hook struct {
	mu    sync.Mutex
	fails int
	told  []string
}

func (h *hook) on(_ context.Context, e backup.ScheduleEvent) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, fmt.Sprintf("%s %s %d", e.SiteID, e.Name, e.Seq))
	if h.fails > 0 {
		h.fails--
		if h.fails%2 == 0 {
			panic("oops")
		}
		return errors.New("no answer")
	}
	return nil
}

// watched is a schedule with a MaxAge of two hours, made on 5 January 2026 at midnight,
// in whose time nothing ticks.
type watched struct {
	*bundle
	now *time.Time
	id  string
	hook
}

const maxAge = 2 * time.Hour

func watch(t *testing.T) *watched {
	w := &watched{}
	now := caseDay
	w.bundle = setup(t, func(c *backup.Config) { c.Now, c.OnEvent = func() time.Time { return now }, w.on })
	w.now = &now
	w.id = w.put(siteID)
	return w
}

func (w *watched) put(site string, change ...func(*backup.ScheduleParams)) string {
	w.Helper()
	p := backup.ScheduleParams{UserID: userID, SiteID: site, Cron: "@hourly", MaxAge: maxAge}
	for _, c := range change {
		c(&p)
	}
	s, err := w.client.PutSchedule(w.ctx, p)
	require.NoError(w, err)
	return s.ID
}

// good is a good backup of the schedule, asked for now, of the providers.
func (w *watched) good(schedule string, providers ...string) (id string) {
	w.Helper()
	id = uuid.NewString()
	w.exec(`INSERT INTO {backup} (id, user_id, site_id, state, created_at, finished_at, manifest, manifest_key, schedule_id)
		VALUES ($1, $2, $3, 'done', $4, $4, '', 'm', $5)`, id, userID, siteID, *w.now, schedule)
	for _, p := range providers {
		w.exec(`INSERT INTO {backup_task} (id, backup_id, provider, upload_id, object_key, state, finished_at, size, sha256, proof, capture_finished_at)
			VALUES (gen_random_uuid(), $1, $2, gen_random_uuid(), 'o', 'done', $3, 0, sha256(''), 'length', $3)`, id, p, *w.now)
	}
	return id
}

func (w *watched) check(at string, want backup.Rechecked) {
	w.Helper()
	*w.now = clockAt(w, at)
	got, err := w.ledger.CheckFreshness(w.ctx, 10)
	require.NoError(w, err)
	require.Equal(w, want, got, at)
	_, err = w.ledger.DeliverEvents(w.ctx, 100)
	require.NoError(w, err)
}

func (w *watched) get() *backup.Schedule {
	w.Helper()
	s, err := w.client.GetSchedule(w.ctx, w.id)
	require.NoError(w, err)
	return s
}

func (w *watched) requireFreshness(want backup.Freshness) {
	w.Helper()
	got, err := w.client.Freshness(w.ctx)
	require.NoError(w, err)
	got.LastSuccess = nil
	require.Equal(w, &want, got)
}

var (
	staleNow = backup.Rechecked{Stale: 1}
	freshNow = backup.Rechecked{Fresh: 1}
	asBefore = backup.Rechecked{}
)

// No tick runs at all: the alert comes from what is in the tables, once, and ends with
// a good backup.
func TestFreshness(t *testing.T) {
	w := watch(t)
	w.check("1:59", asBefore)
	require.False(t, w.get().Stale)
	w.check("2:00", staleNow)
	w.check("2:01", asBefore)
	s := w.get()
	require.True(t, s.Stale)
	require.True(t, s.AlertAt.Equal(clockAt(t, "2:00")))
	require.Nil(t, s.LastSuccessAt)

	*w.now = clockAt(t, "2:30")
	w.good(w.id)
	require.False(t, w.get().Stale, "nobody has to look for that")
	w.check("2:31", freshNow)
	w.check("4:29", asBefore)
	require.Nil(t, w.get().AlertAt)
	require.True(t, w.get().LastSuccessAt.Equal(clockAt(t, "2:30")))
	w.check("4:30", staleNow)
	require.Equal(t, []string{siteID + " ScheduleStale 1", siteID + " ScheduleFresh 2", siteID + " ScheduleStale 3"}, w.told)

	events, err := w.client.ScheduleEvents(w.ctx, w.id, 2, 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
	e := events[0]
	require.True(t, e.LastSuccessAt.Equal(clockAt(t, "2:30")))
	require.True(t, e.AlertAt.Equal(clockAt(t, "4:30")) && e.CreatedAt.Equal(e.AlertAt))
	require.Equal(t, []any{w.id, userID, "default", maxAge, false}, []any{e.ScheduleID, e.UserID, e.Schedule, e.MaxAge, e.Paused})
}

// Only good backups count, and one that isn't any more has its schedule looked at.
func TestFreshnessOfDamage(t *testing.T) {
	for name, spoil := range map[string]func(w *watched, id string){
		"corrupt": func(w *watched, id string) {
			_, err := w.client.Verify(w.ctx, id, backup.VerifyParams{})
			require.NoError(w, err)
			work, err := w.ledger.ClaimVerify(w.ctx, id, claim(w.job(id, "")))
			require.NoError(w, err)
			v := &backup.Verification{Sample: 1, Problems: []*backup.CorruptError{{Provider: "db"}}}
			require.NoError(w, w.ledger.FinishVerify(w.ctx, work.Lease, v))
		},
		"deleted": func(w *watched, id string) {
			_, err := w.client.Delete(w.ctx, id)
			require.NoError(w, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t)
			w.good(w.id)
			*w.now = clockAt(t, "1:50")
			last := w.good(w.id)
			w.check("2:10", asBefore)
			require.True(t, w.get().StaleAt.Equal(clockAt(t, "3:50")))
			spoil(w, last)
			require.True(t, w.get().Stale)
			w.check("2:11", staleNow)
		})
	}
}

// An edit doesn't put off the look at a schedule whose newest backup was found damaged.
func TestFreshnessOfDamageThatNobodyHasLookedAt(t *testing.T) {
	w := watch(t)
	*w.now = clockAt(t, "1:50")
	id := w.good(w.id)
	w.check("2:10", asBefore)
	_, err := w.client.Delete(w.ctx, id)
	require.NoError(t, err)
	w.put(siteID, func(p *backup.ScheduleParams) { p.Paused = true })
	w.check("2:11", staleNow)
}

func TestFreshnessOfPausedAndEdited(t *testing.T) {
	w := watch(t)
	_, err := w.client.PauseSchedule(w.ctx, w.id, true)
	require.NoError(t, err)
	w.put("unwatched", func(p *backup.ScheduleParams) { p.MaxAge = 0 })
	w.check("2:00", staleNow)
	w.requireFreshness(backup.Freshness{Overdue: 2, Alerting: 1})
	events, err := w.client.ScheduleEvents(w.ctx, w.id, 0, 10)
	require.NoError(t, err)
	require.True(t, events[0].Paused)

	w.put(siteID, func(p *backup.ScheduleParams) { p.MaxAge = 3 * time.Hour })
	w.check("2:10", freshNow)
	w.check("3:00", staleNow)
	w.put(siteID, func(p *backup.ScheduleParams) { p.MaxAge = 0 })
	w.check("3:02", freshNow)
	require.Nil(t, w.get().AlertAt)
	w.put(siteID)
	w.check("3:03", staleNow)
	require.Len(t, w.told, 5)
}

// More have an alert than are looked at together: all get their turn, and a new alert
// doesn't wait for it.
func TestFreshnessTurns(t *testing.T) {
	w := watch(t)
	for i := range 24 {
		w.put(fmt.Sprint(i))
	}
	var sum int
	for _, want := range []bool{true, true, false} { // the last one is half full
		*w.now = clockAt(t, "2:00")
		got, err := w.ledger.CheckFreshness(w.ctx, 10)
		require.NoError(t, err)
		require.Equal(t, want, got.More)
		sum += got.Stale
	}
	require.Equal(t, 25, sum)
	*w.now = clockAt(t, "2:30")
	w.exec(`INSERT INTO {backup} (id, user_id, site_id, state, created_at, finished_at, manifest, manifest_key, schedule_id)
		SELECT gen_random_uuid(), 'u', 's', 'done', $1, $1, '', 'm', id FROM {backup_schedule}`, *w.now)
	id := w.put("late", func(p *backup.ScheduleParams) { p.MaxAge = time.Minute })
	*w.now = clockAt(t, "2:31")
	got, err := w.ledger.CheckFreshness(w.ctx, 10)
	require.NoError(t, err)
	require.Equal(t, backup.Rechecked{Stale: 1, Fresh: 10, More: true}, got)
	events, err := w.client.ScheduleEvents(w.ctx, id, 0, 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
	for _, want := range []int{10, 5} {
		got, err := w.ledger.CheckFreshness(w.ctx, 10)
		require.NoError(t, err)
		require.Equal(t, want, got.Fresh)
	}
}

// Many look at once: each alert begins once.
func TestFreshnessRace(t *testing.T) {
	w := watch(t)
	for i := range 40 {
		w.put(fmt.Sprint(i))
	}
	*w.now = clockAt(t, "3:00")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 8 {
				if _, err := w.ledger.CheckFreshness(w.ctx, 7); err != nil {
					t.Errorf("check: %v", err)
				}
				if _, err := w.ledger.DeliverEvents(w.ctx, 20); err != nil {
					t.Errorf("deliver: %v", err)
				}
			}
		})
	}
	all.Wait()
	_, err := w.ledger.DeliverEvents(w.ctx, 100)
	require.NoError(t, err)
	require.Equal(t, 41, w.count(`SELECT count(*) FROM {backup_schedule_event}`))
	require.Len(t, w.told, 41, "each was told once, because no call failed")
}

// A hook that fails is called again, and later events of the schedule wait.
func TestOnEventFails(t *testing.T) {
	w := watch(t)
	w.fails = 3
	w.check("2:00", staleNow)
	require.Equal(t, []string{siteID + " ScheduleStale 1"}, w.told, "not again at once")
	w.good(w.id)
	w.put("other")
	w.check("2:00", asBefore)
	w.check("2:01", freshNow) // it fails again
	w.check("2:02", asBefore) // and again
	w.check("2:03", asBefore)
	stale, fresh := siteID+" ScheduleStale 1", siteID+" ScheduleFresh 2"
	require.Equal(t, []string{stale, stale, stale, stale, fresh}, w.told)
	w.check("2:04", asBefore)
	require.Len(t, w.told, 5)
	require.Zero(t, w.count(`SELECT count(*) FROM {backup_schedule_event} WHERE delivered_at IS NULL`))
}

// Without a hook events stay, for a process that has one.
func TestOnEventOfAnotherProcess(t *testing.T) {
	w := watch(t)
	other, err := backup.New(&backup.Config{Pool: w.pool, Schema: w.schema, Logger: w.client.Logger(), Now: func() time.Time { return *w.now }})
	require.NoError(t, err)
	*w.now = clockAt(t, "2:00")
	got, err := other.Ledger().CheckFreshness(w.ctx, 10)
	require.NoError(t, err)
	require.Equal(t, staleNow, got)
	done, err := other.Ledger().DeliverEvents(w.ctx, 10)
	require.NoError(t, err)
	require.Zero(t, done)
	require.Empty(t, w.told)
	done, err = w.ledger.DeliverEvents(w.ctx, 10)
	require.NoError(t, err)
	require.Equal(t, backup.Delivered{Events: 1}, done)
}

// A hook that is added later hears of the last day only, and of each schedule in order.
func TestOnEventIsAddedLate(t *testing.T) {
	w := watch(t)
	other, err := backup.New(&backup.Config{Pool: w.pool, Schema: w.schema, Logger: w.client.Logger(), Now: func() time.Time { return *w.now }})
	require.NoError(t, err)
	check := func(at string) {
		*w.now = clockAt(t, at)
		_, err := other.Ledger().CheckFreshness(w.ctx, 10)
		require.NoError(t, err)
	}
	check("2:00")
	*w.now = clockAt(t, "30:00")
	w.good(w.id)
	check("30:00")
	*w.now = clockAt(t, "40:00")
	done, err := w.ledger.DeliverEvents(w.ctx, 10)
	require.NoError(t, err)
	require.Equal(t, backup.Delivered{Events: 1}, done)
	require.Equal(t, []string{siteID + " ScheduleFresh 2"}, w.told)
}

// Who asks for what is too old is told so also where nobody has looked.
func TestListSchedulesThatAreStale(t *testing.T) {
	w := watch(t)
	fresh := w.put("fresh")
	w.put("unwatched", func(p *backup.ScheduleParams) { p.MaxAge = 0 })
	*w.now = clockAt(t, "1:50")
	w.good(fresh)
	alerts := func() (ids []string) {
		all, err := w.client.ListSchedules(w.ctx, backup.ListSchedulesParams{Alert: true})
		require.NoError(t, err)
		for _, s := range all {
			ids = append(ids, s.ID)
		}
		return ids
	}
	require.Empty(t, alerts())
	*w.now = clockAt(t, "2:00")
	require.Equal(t, []string{w.id}, alerts())
	w.check("2:00", staleNow)
	require.Equal(t, []string{w.id}, alerts())
}

// A row that can't be read keeps no other schedule from being judged, and is left alone
// for a while.
func TestFreshnessOfBadRows(t *testing.T) {
	w := watch(t)
	bad := w.put("bad")
	w.exec(`UPDATE {backup_schedule} SET last_slot = 'infinity' WHERE id = $1`, bad)
	w.check("2:00", staleNow)
	w.check("2:01", asBefore)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM {backup_schedule} WHERE id = $1 AND stale_at > $2`, bad, *w.now))
	w.put("other", func(p *backup.ScheduleParams) { p.MaxAge = time.Minute })
	w.check("2:10", staleNow)
	w.exec(`UPDATE {backup_schedule} SET last_slot = NULL`)
	w.check("2:20", staleNow)
}

// Where the database's clock was ahead, schedules do nothing until it is there again: that
// is seen.
func TestFreshnessOfClockThatGoesBack(t *testing.T) {
	w := watch(t)
	*w.now = clockAt(t, "48:00")
	_, err := w.ledger.TickSchedules(w.ctx, 10)
	require.NoError(t, err)
	*w.now = clockAt(t, "1:00")
	w.requireFreshness(backup.Freshness{Overdue: 1})
}

// Two processes don't make one call at once, nor the next of a schedule before it has
// returned.
func TestOnEventIsCalledByOne(t *testing.T) {
	called, goOn := make(chan struct{}), make(chan struct{})
	now := caseDay
	w := &watched{now: &now}
	w.bundle = setup(t, func(c *backup.Config) {
		c.Now = func() time.Time { return now }
		c.OnEvent = func(ctx context.Context, e backup.ScheduleEvent) error {
			if _, ok := ctx.Deadline(); !ok {
				return errors.New("it has no deadline")
			}
			if called != nil {
				close(called)
				<-goOn
			}
			return w.on(ctx, e)
		}
	})
	w.id = w.put(siteID)
	now = clockAt(t, "2:00")
	_, err := w.ledger.CheckFreshness(w.ctx, 10)
	require.NoError(t, err)
	w.good(w.id)
	now = clockAt(t, "2:01")
	_, err = w.ledger.CheckFreshness(w.ctx, 10)
	require.NoError(t, err)
	first := make(chan error, 1)
	go func() {
		_, err := w.ledger.DeliverEvents(w.ctx, 1)
		first <- err
	}()
	<-called
	called = nil
	done, err := w.ledger.DeliverEvents(w.ctx, 10)
	require.NoError(t, err)
	require.Zero(t, done, "the second event waits for the first, which is being told")
	close(goOn)
	require.NoError(t, <-first)
	done, err = w.ledger.DeliverEvents(w.ctx, 10)
	require.NoError(t, err)
	require.Equal(t, backup.Delivered{Events: 1}, done)
	require.Equal(t, []string{siteID + " ScheduleStale 1", siteID + " ScheduleFresh 2"}, w.told)
}

// What Freshness says needs no process that works.
func TestFreshnessIsReadFromState(t *testing.T) {
	w := watch(t)
	w.requireFreshness(backup.Freshness{Healthy: true})
	*w.now = clockAt(t, "1:05")
	w.requireFreshness(backup.Freshness{Healthy: true})
	*w.now = clockAt(t, "1:06")
	w.requireFreshness(backup.Freshness{Overdue: 1})
	*w.now = clockAt(t, "2:00")
	w.requireFreshness(backup.Freshness{Overdue: 1, Stale: 1})
	*w.now = clockAt(t, "2:06")
	w.requireFreshness(backup.Freshness{Overdue: 1, Stale: 1, Unchecked: 1})
	w.good(w.id)
	w.requireFreshness(backup.Freshness{Overdue: 1, Unchecked: 1})
	_, err := w.ledger.TickSchedules(w.ctx, 10)
	require.NoError(t, err)
	w.check("2:06", asBefore)
	w.requireFreshness(backup.Freshness{Healthy: true})
	stats, err := w.client.Stats(w.ctx)
	require.NoError(t, err)
	require.Equal(t, map[backup.ScheduleState]int64{"fresh": 1, "stale": 0, "alerting": 0, "unwatched": 0}, stats.Schedules)
	*w.now = clockAt(t, "4:06")
	stats, err = w.client.Stats(w.ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, stats.Schedules["stale"])
}

func TestLastSuccess(t *testing.T) {
	w := watch(t)
	last := func(want map[string]string) {
		t.Helper()
		f, err := w.client.Freshness(w.ctx)
		require.NoError(t, err)
		got := make(map[string]string)
		for provider, at := range f.LastSuccess {
			got[provider] = at.UTC().Format("15:04")
		}
		require.Equal(t, want, got)
	}
	last(map[string]string{})
	*w.now = clockAt(t, "1:00")
	w.good(w.id, "site", "db")
	*w.now = clockAt(t, "2:00")
	id := w.good(w.id, "site", "later")
	last(map[string]string{"site": "02:00", "db": "01:00", "later": "02:00"})
	w.exec(`UPDATE {backup} SET corrupt_at = now() WHERE id = $1`, id)
	last(map[string]string{"site": "01:00", "db": "01:00"})
	*w.now = clockAt(t, "3:00")
	id = w.good(w.id, "site", "db")
	w.exec(`UPDATE {backup} SET state = 'failed' WHERE id = $1`, id)
	last(map[string]string{"site": "01:00", "db": "01:00"})
}

// A schedule that can't be ticked is seen, until a tick can do it again or it is put anew.
func TestFreshnessOfAnUnknownZone(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	params := backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "@hourly"}
	require.NoError(t, ignore(b.client.PutSchedule(b.ctx, params)))
	for i, mend := range []func(){
		func() { require.NoError(t, ignore(b.client.PutSchedule(b.ctx, params))) },
		func() {
			b.exec(`UPDATE {backup_schedule} SET time_zone = 'UTC'`)
			*now = now.Add(time.Hour)
			require.NoError(t, ignore(b.ledger.TickSchedules(b.ctx, 10)))
		},
	} {
		*now = clockAt(t, []string{"1:00", "4:00"}[i])
		b.exec(`UPDATE {backup_schedule} SET time_zone = 'Mars/Base', next_run_at = $1`, *now)
		require.NoError(t, ignore(b.ledger.TickSchedules(b.ctx, 10)))
		f, err := b.client.Freshness(b.ctx)
		require.NoError(t, err)
		require.Equal(t, 1, f.Overdue)
		mend()
		f, err = b.client.Freshness(b.ctx)
		require.NoError(t, err)
		require.True(t, f.Healthy)
	}
}

func ignore[T any](_ T, err error) error { return err }
