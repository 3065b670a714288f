package jobs

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// fastClock goes faster than the others from an instant on, in all processes alike.
type fastClock struct {
	From  time.Time
	Times time.Duration
}

func (c *fastClock) now() time.Time { return c.From.Add(c.Times * now().Sub(c.From)) }

// fleet is processes of which one leads.
type fleet struct {
	*bundle
	dir       string
	clock     *fastClock
	processes []*process
}

func (f *fleet) spawn() {
	f.Helper()
	f.processes = append(f.processes, f.spawnChild(&child{Dir: f.dir, Leads: true, Clock: f.clock}))
}

// leads returns the process that leads and has had a tick run since it does.
func (f *fleet) leads() (leader *process) {
	f.Helper()
	f.eventually("a leader that ticks", time.Minute, func() bool {
		var id string
		var ticks int
		err := f.pool.QueryRow(f.ctx, f.in(`SELECT l.leader_id, (SELECT count(*) FROM {river_job} WHERE kind = 'backup_schedule' AND state = 'completed' AND created_at >= l.elected_at)
			FROM {river_leader} l WHERE l.expires_at > now()`)).Scan(&id, &ticks)
		if err != nil || ticks == 0 {
			return false
		}
		for _, p := range f.processes {
			if name, ok := p.said.after("works as"); ok && name == id {
				leader = p
			}
		}
		return leader != nil
	})
	return leader
}

// kill kills a process, and spares the others the wait until it is missed.
func (f *fleet) kill(p *process) {
	f.Helper()
	require.NoError(f, p.Process.Kill())
	_ = p.Wait()
	f.processes = slices.DeleteFunc(f.processes, func(o *process) bool { return o == p })
	f.exec(`UPDATE {river_leader} SET expires_at = now() - interval '1 second'`)
}

// The process that leads is killed again and again, while schedules are due each second
// or so. Every slot is accounted for once.
func TestScheduleLeaderIsKilled(t *testing.T) {
	clock := &fastClock{From: now().Truncate(time.Second), Times: 100}
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: 100}}, config: func(c *backup.Config) { c.Now = clock.now }})
	const schedules = 10
	for i := range schedules {
		_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{
			UserID: userID, SiteID: fmt.Sprint(i), Cron: "* * * * *", Overlap: []backup.Overlap{backup.OverlapAllow, backup.OverlapQueue, backup.OverlapSkip}[i%3],
		})
		require.NoError(t, err)
	}
	f := &fleet{bundle: b, dir: t.TempDir(), clock: clock}
	for range 3 {
		f.spawn()
	}
	for range envtest.Count(2, 10) {
		f.kill(f.leads())
		f.spawn()
	}
	f.leads()
	for _, p := range f.processes {
		require.NoError(t, p.input.Close())
	}
	for _, p := range f.processes {
		_ = p.Wait()
	}
	until := clock.now().Truncate(time.Minute)
	for more := true; more; {
		done, err := b.client.Ledger().TickSchedules(b.ctx, tickLimit)
		require.NoError(t, err)
		more = done.More
	}
	require.Zero(t, b.count(`SELECT count(*) FROM (SELECT r.*, lag(r.last_slot, 1, date_trunc('minute', s.created_at)) OVER (PARTITION BY r.schedule_id ORDER BY r.slot) AS before
		FROM {backup_schedule_run} r JOIN {backup_schedule} s ON s.id = r.schedule_id) r
		WHERE slot <> before + interval '1 minute' OR last_slot <> slot + (slots - 1) * interval '1 minute'`), "none is missing, and none is there twice")
	require.Equal(t, schedules, b.count(`SELECT count(*) FROM {backup_schedule} s WHERE s.last_slot >= $1 AND s.last_slot = (SELECT max(r.last_slot) FROM {backup_schedule_run} r WHERE r.schedule_id = s.id)`, until))
	started := b.count(`SELECT count(*) FROM {backup_schedule_run} WHERE status = 'started'`)
	require.Greater(t, started, schedules)
	require.Equal(t, started, b.count(`SELECT count(*) FROM {backup} b JOIN {backup_schedule_run} r ON r.backup_id = b.id AND r.schedule_id = b.schedule_id AND r.slot = b.slot`))
	require.Equal(t, started, b.count(`SELECT count(*) FROM {backup}`))
	t.Logf("%d slots, %d of them started", b.count(`SELECT sum(slots) FROM {backup_schedule_run}`), started)
}

// The job finds what is too old and tells it, with River's clients and no tick at work.
func TestFreshnessJob(t *testing.T) {
	told := make(chan backup.ScheduleEvent, 10)
	at := now()
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Now = func() time.Time { return at }
		c.OnEvent = func(_ context.Context, e backup.ScheduleEvent) error { told <- e; return nil }
	}})
	s, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "@yearly", MaxAge: time.Hour})
	require.NoError(t, err)
	at = at.Add(2 * time.Hour)
	b.work(func(_ *Config, rc *river.Config) { rc.TestOnly = true })
	select {
	case e := <-told:
		require.Equal(t, s.ID, e.ScheduleID)
		require.Equal(t, backup.ScheduleStale, e.Name)
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was told")
	}
	b.eventually("the delivery to be noted", 10*time.Second, func() bool {
		return b.count(`SELECT count(*) FROM {backup_schedule_event} WHERE delivered_at IS NOT NULL`) == 1
	})
}
