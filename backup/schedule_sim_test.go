package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/cron"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// simulation is a week of schedules in three processes. Their clock is one number.
type simulation struct {
	*bundle
	rand    *rand.Rand
	clock   atomic.Int64 // seconds
	clients []*backup.Client
	ids     []string
	stopped atomic.Int64 // ticks that were stopped in the middle
}

// simStart is four days before clocks change in Europe.
var simStart = time.Date(2026, 3, 25, 7, 0, 0, 0, time.UTC)

func newSimulation(t *testing.T, processes int) *simulation {
	s := &simulation{bundle: setup(t)}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s.rand = rand.New(rand.NewPCG(seed, 0))
	s.clock.Store(simStart.Unix())
	for range processes {
		client, err := backup.New(&backup.Config{
			Pool: s.pool, Schema: s.schema, Logger: s.client.Logger(),
			Now: func() time.Time { return time.Unix(s.clock.Load(), 0) },
		})
		require.NoError(t, err)
		s.clients = append(s.clients, client)
	}
	return s
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// put makes a schedule of any kind, whose slots come more or less often.
func (s *simulation) put(n int) {
	s.Helper()
	p := backup.ScheduleParams{
		UserID: fmt.Sprint("user", n%97), SiteID: fmt.Sprint("site", n),
		Cron:     pick(s.rand, "0 2 * * *", "30 2 * * *", "15 */6 * * *", "@daily", "@weekly", "0 0 29 * *", "@every 25h", "@every 11h", fmt.Sprintf("%d */3 * * *", s.rand.IntN(60)), "@hourly"),
		TimeZone: pick(s.rand, "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"),
		CatchUp:  pick(s.rand, backup.CatchUpLast, backup.CatchUpNone),
		Overlap:  pick(s.rand, backup.OverlapSkip, backup.OverlapQueue, backup.OverlapAllow),
		Spread:   pick(s.rand, 0, time.Hour, 5*time.Hour),
	}
	if s.rand.IntN(4) == 0 {
		p.StartingDeadline = time.Duration(60+s.rand.IntN(7200)) * time.Second
	}
	got, err := s.clients[0].PutSchedule(s.ctx, p)
	require.NoError(s, err)
	s.ids = append(s.ids, got.ID)
}

// tickAll begins a tick in all processes at once, and returns what waits for them. Some
// don't come to it, and some are stopped in the middle.
func (s *simulation) tickAll() (wait func()) {
	var processes sync.WaitGroup
	for _, c := range s.clients {
		fate, after := s.rand.IntN(10), time.Duration(s.rand.IntN(12_000))*time.Microsecond
		if fate < 2 {
			continue
		}
		processes.Go(func() {
			ctx, cancel := context.WithCancel(s.ctx)
			defer cancel()
			if fate < 4 {
				ctx, cancel = context.WithTimeout(ctx, after)
				defer cancel()
			}
			for more := true; more; {
				done, err := c.Ledger().TickSchedules(ctx, 40)
				if err != nil {
					if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
						s.Errorf("tick: %v", err)
					}
					s.stopped.Add(1)
					return
				}
				more = done.More
			}
		})
	}
	return processes.Wait
}

// live is what goes on beside the ticks: backups end, and schedules are paused, and go
// on.
func (s *simulation) live() {
	s.exec(`UPDATE {backup} SET state = 'failed', finished_at = now() WHERE state = 'pending' AND random() < $1`, s.rand.Float64())
	for range 1 + len(s.ids)/500 {
		_, err := s.clients[0].PauseSchedule(s.ctx, pick(s.rand, s.ids...), s.rand.IntN(3) == 0)
		require.NoError(s, err)
	}
}

// Three processes tick through seven days; ticks are lost, and processes stopped in the
// middle of one. Every slot is accounted for once.
func TestScheduleSimulation(t *testing.T) {
	s := newSimulation(t, 3)
	n := envtest.Count(300, 10_000)
	for i := range n * 9 / 10 {
		s.put(i)
	}
	last := simStart.Add(7 * 24 * time.Hour).Unix()
	steps := 0
	for ; s.clock.Load() < last; steps++ {
		s.clock.Add(int64(s.rand.IntN(80 * 60)))
		if s.rand.IntN(100) == 0 { // nothing runs for hours
			s.clock.Add(int64(s.rand.IntN(20 * 3600)))
		}
		if steps == 50 { // some come later
			for len(s.ids) < n {
				s.put(len(s.ids))
			}
		}
		wait := s.tickAll()
		if steps%4 == 0 {
			s.live()
		}
		wait()
	}
	s.tickUntilNone()
	slots := s.requireAllAccountedFor()
	t.Logf("%d schedules, %d times, %d slots, %d ticks stopped in the middle", n, steps, slots, s.stopped.Load())
	require.Greater(t, slots, 10*n)
	require.Positive(t, s.stopped.Load())
}

// tickUntilNone ticks until nothing is due. A tick that was stopped may hold its rows
// until Postgres has noticed, and others pass over these: the count waits for it.
func (s *simulation) tickUntilNone() {
	s.Helper()
	for began := time.Now(); ; {
		done, err := s.clients[0].Ledger().TickSchedules(s.ctx, 500)
		require.NoError(s, err)
		if !done.More && s.count(`SELECT count(*) FROM (
				SELECT FROM {backup_schedule} WHERE next_run_at <= to_timestamp($1) FOR NO KEY UPDATE) s`, s.clock.Load()) == 0 {
			return
		}
		require.Less(s, time.Since(began), time.Minute, "slots stay due")
	}
}

// requireAllAccountedFor compares what the tables say with what package cron says of
// each schedule, and returns how many slots there were.
func (s *simulation) requireAllAccountedFor() (slots int) {
	s.Helper()
	now := time.Unix(s.clock.Load(), 0)
	for _, id := range s.ids {
		got, err := s.client.GetSchedule(s.ctx, id)
		require.NoError(s, err)
		slots += s.requireSlots(got, now)
	}
	return slots
}

// requireSlots checks that the runs of a schedule that was never edited are all its
// slots until now, each once, and that those that were started have one backup each.
func (b *bundle) requireSlots(got *backup.Schedule, now time.Time) (slots int) {
	b.Helper()
	loc, err := time.LoadLocation(got.TimeZone)
	require.NoError(b, err)
	due, err := cron.Parse(got.Cron, loc, got.CreatedAt.Truncate(time.Second))
	require.NoError(b, err)
	rows, err := b.pool.Query(b.ctx, b.in(`SELECT r.slot, r.last_slot, r.slots, r.status,
			(SELECT count(*) FROM {backup} b WHERE b.schedule_id = r.schedule_id AND b.slot = r.slot AND b.id = r.backup_id)
		FROM {backup_schedule_run} r WHERE r.schedule_id = $1 ORDER BY r.slot`), got.ID)
	require.NoError(b, err)
	var first, last time.Time
	var n, backups, started int
	var status string
	next := due.Next(got.CreatedAt)
	_, err = pgx.ForEachRow(rows, []any{&first, &last, &n, &status, &backups}, func() error {
		what := fmt.Sprintf("schedule %s %q %s, %s slot of %s to %s", got.ID, got.Cron, got.TimeZone, status, first.UTC(), last.UTC())
		require.True(b, first.Equal(next), "%s: the next one is %s", what, next.UTC())
		for i := 1; i < n; i++ {
			next = due.Next(next)
		}
		require.True(b, last.Equal(next), "%s: of %d slots the last is %s", what, n, next.UTC())
		slots += n
		if status == "started" {
			started++
			require.Equal(b, 1, backups, what)
		}
		next = due.Next(next)
		return nil
	})
	require.NoError(b, err)
	share := cron.Offset(got.ID, got.Spread)
	require.True(b, next.Add(share).After(now), "schedule %s: the slot %s is due and wasn't looked at", got.ID, next.UTC())
	require.True(b, next.Equal(*got.NextSlot))
	require.Equal(b, started, b.count(`SELECT count(*) FROM {backup} WHERE schedule_id = $1 AND slot IS NOT NULL`, got.ID), "as many backups as slots that were started")
	return slots
}

// Many ticks at once look at the same rows, while these are edited and deleted.
func TestScheduleTicksRace(t *testing.T) {
	s := newSimulation(t, 3)
	every := backup.ScheduleParams{UserID: userID, Cron: "* * * * *", Overlap: backup.OverlapAllow}
	const n = 12
	for i := range n {
		every.SiteID = fmt.Sprint("site", i)
		got, err := s.clients[0].PutSchedule(s.ctx, every)
		require.NoError(t, err)
		s.ids = append(s.ids, got.ID)
	}
	edited, deleted := s.ids[n-2], s.ids[n-1]
	s.ids = s.ids[:n-2]
	for minute := range 60 {
		s.clock.Add(60)
		var all sync.WaitGroup
		for _, c := range s.clients {
			all.Go(func() {
				_, err := c.Ledger().TickSchedules(s.ctx, 5)
				for range 3 {
					if err == nil {
						_, err = c.Ledger().TickSchedules(s.ctx, 5)
					}
				}
				if err != nil {
					t.Errorf("tick: %v", err)
				}
			})
		}
		all.Go(func() { // its minutes are even ones, then odd ones, then all
			p := every
			p.SiteID, p.Cron = fmt.Sprint("site", n-2), []string{"*/2 * * * *", "1-59/2 * * * *", "* * * * *"}[minute%3]
			if _, err := s.clients[0].PutSchedule(s.ctx, p); err != nil {
				t.Errorf("put: %v", err)
			}
		})
		if minute == 30 {
			all.Go(func() {
				if err := s.clients[1].DeleteSchedule(s.ctx, deleted, 0); err != nil {
					t.Errorf("delete: %v", err)
				}
			})
		}
		all.Wait()
	}
	s.tickUntilNone()
	require.Equal(t, 60*len(s.ids), s.requireAllAccountedFor())

	// Of the one that was edited each slot is one of an expression that it had, each
	// backup has its slot, and what is next follows from the expression that it has.
	got, err := s.client.GetSchedule(s.ctx, edited)
	require.NoError(t, err)
	require.EqualValues(t, 61, got.Version)
	require.Equal(t, "* * * * *", got.Cron)
	require.True(t, got.NextSlot.Equal(got.LastSlot.Add(time.Minute)))
	require.Equal(t, s.count(`SELECT count(*) FROM {backup_schedule_run} WHERE schedule_id = $1 AND status = 'started'`, edited),
		s.count(`SELECT count(*) FROM {backup} b JOIN {backup_schedule_run} r ON r.backup_id = b.id AND r.slot = b.slot WHERE b.schedule_id = $1`, edited))
	require.Zero(t, s.count(`SELECT count(*) FROM {backup_schedule_run} WHERE schedule_id = $1`, deleted))
	_, err = s.client.GetSchedule(s.ctx, deleted)
	require.ErrorIs(t, err, backup.ErrScheduleNotFound)
	require.Positive(t, s.count(`SELECT count(*) FROM {backup} WHERE schedule_id = $1`, deleted), "its backups stay")
}

// A tick leaves alone what another one has, and waits for nobody.
func TestScheduleTickTakesWhatNobodyHas(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	for _, site := range []string{"held", "free"} {
		_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: site, Cron: "@hourly"})
		require.NoError(t, err)
	}
	*now = now.Add(time.Hour)
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	tx, err := b.pool.Begin(ctx)
	require.NoError(t, err)
	_, err = tx.Exec(ctx, b.in("SELECT FROM {backup_schedule} WHERE site_id = 'held' FOR NO KEY UPDATE"))
	require.NoError(t, err)
	for _, want := range []int{1, 0} {
		done, err := b.ledger.TickSchedules(ctx, 10)
		require.NoError(t, err)
		require.Equal(t, backup.Ticked{Started: want}, done)
	}
	require.NoError(t, tx.Rollback(ctx))
	done, err := b.ledger.TickSchedules(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, backup.Ticked{Started: 1}, done)
}

// The table itself refuses a second backup for a slot, whatever a tick does.
func TestScheduleSlotIsUnique(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	s, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "@hourly", Overlap: backup.OverlapAllow})
	require.NoError(t, err)
	*now = now.Add(time.Hour)
	_, err = b.ledger.TickSchedules(b.ctx, 10)
	require.NoError(t, err)
	b.exec(`DELETE FROM {backup_schedule_run}`)
	b.exec(`UPDATE {backup_schedule} SET next_slot = $1, next_run_at = $1`, s.NextSlot)
	done, err := b.ledger.TickSchedules(b.ctx, 10)
	require.NoError(t, err)
	require.Zero(t, done)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM {backup}`))
}
