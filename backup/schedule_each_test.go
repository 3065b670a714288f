package backup_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// What is wrong in one schedule's row stops none of the others, and is left alone for a
// while.
func TestScheduleBadRows(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  string
		starts bool // a tick doesn't need what is wrong
	}{
		"labels":    {`UPDATE {backup_schedule} SET labels = jsonb_build_object('a', 1) WHERE site_id = 's1'`, false}, // a backup's are checked
		"retention": {`UPDATE {backup_schedule} SET retention = '[]' WHERE site_id = 's1'`, true},
		"provider":  {`UPDATE {backup_schedule} SET providers = ARRAY['gone'] WHERE site_id = 's1'`, true},
		"infinite":  {`UPDATE {backup_schedule} SET last_slot = 'infinity' WHERE site_id = 's1'`, false},
		"double":    {`INSERT INTO {backup_schedule_run} (schedule_id, slot, last_slot, status, reason, at) SELECT id, next_slot, next_slot, 'skipped', 'paused', now() FROM {backup_schedule} WHERE site_id = 's1'`, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, now := clocked(t, "2026-01-05T00:30:00Z")
			for i := range 4 {
				_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: fmt.Sprint("s", i), Cron: "@hourly", MaxAge: time.Hour, Overlap: backup.OverlapAllow})
				require.NoError(t, err)
			}
			b.exec(c.spoil)
			ok := 3
			if c.starts {
				ok = 4
			}
			tick := func(want int) {
				t.Helper()
				done, err := b.ledger.TickSchedules(b.ctx, 10)
				require.NoError(t, err)
				require.Equal(t, backup.Ticked{Started: want}, done)
				require.Zero(t, b.count(`SELECT count(*) FROM {backup_schedule} WHERE next_run_at <= $1`, *now), "nothing is due again at once")
			}
			*now = now.Add(30 * time.Minute)
			tick(ok)
			tick(0)
			f, err := b.client.Freshness(b.ctx)
			require.NoError(t, err)
			if name != "infinite" { // which counts as one that a clock was ahead for, too
				require.Equal(t, 4-ok, f.Overdue, "somebody must look at it")
			}
			*now = now.Add(5 * time.Minute) // it is tried again
			tick(0)
			*now = clockAt(t, "2:00")
			tick(ok)
			require.Equal(t, 2*ok, b.count(`SELECT count(*) FROM {backup}`))
			if name == "infinite" {
				return
			}
			checked, err := b.ledger.CheckFreshness(b.ctx, 10)
			require.NoError(t, err)
			require.Equal(t, 4, checked.Stale)
		})
	}
}

// A database that fails is no schedule's fault.
func TestScheduleTickOfAFailedDatabase(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "@hourly"})
	require.NoError(t, err)
	*now = now.Add(time.Hour)
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	_, err = b.ledger.TickSchedules(ctx, 10)
	require.ErrorIs(t, err, context.Canceled)
	b.exec(`ALTER TABLE {backup_schedule_run} RENAME TO elsewhere`)
	_, err = b.ledger.TickSchedules(b.ctx, 10)
	require.ErrorContains(t, err, "record slots")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM {backup_schedule} WHERE next_run_at <= $1`, *now))
	require.Zero(t, b.count(`SELECT count(*) FROM {backup}`))
}

// An edit makes slots due that lie far back, and backups old that nobody had an eye on.
// Nobody is behind with that yet.
func TestFreshnessRightBehindAnEdit(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	p := backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "@yearly"}
	s, err := b.client.PutSchedule(b.ctx, p)
	require.NoError(t, err)
	*now = now.Add(100 * 24 * time.Hour)
	b.exec(`INSERT INTO {backup} (id, user_id, site_id, state, created_at, finished_at, manifest, manifest_key, schedule_id)
		VALUES (gen_random_uuid(), $1, $2, 'done', $3, $3, '', 'm', $4)`, userID, siteID, now.Add(-time.Hour), s.ID)
	p.Cron, p.MaxAge = "@daily", 2*time.Hour
	s, err = b.client.PutSchedule(b.ctx, p)
	require.NoError(t, err)
	got, err := b.client.GetSchedule(b.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, got, s, "what was put is what is read")
	require.True(t, s.StaleAt.Equal(now.Add(time.Hour)))
	require.False(t, s.Stale)
	healthy := func() bool {
		f, err := b.client.Freshness(b.ctx)
		require.NoError(t, err)
		return f.Healthy
	}
	require.True(t, healthy())
	*now = now.Add(5*time.Minute + time.Second)
	require.False(t, healthy(), "nobody has ticked")
}

// A slot that waits in a bad row is left alone for a while, too, and where as many bad rows
// were due as are taken at once, more may be.
func TestScheduleBadRowsThatWait(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	for i := range 3 {
		_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: fmt.Sprint("s", i), Cron: "0 1 * * *", Overlap: backup.OverlapQueue})
		require.NoError(t, err)
	}
	b.exec(`UPDATE {backup_schedule} SET queued_slot = $1, last_slot = $1, labels = jsonb_build_object('a', 1) WHERE site_id <> 's2'`, now.Add(-30*time.Minute))
	tick := func(want backup.Ticked) {
		t.Helper()
		done, err := b.ledger.TickSchedules(b.ctx, 2)
		require.NoError(t, err)
		require.Equal(t, want, done)
	}
	tick(backup.Ticked{More: true})
	require.Equal(t, 2, b.count(`SELECT count(*) FROM {backup_schedule} WHERE set_aside_until = $1`, now.Add(5*time.Minute)))
	tick(backup.Ticked{})
	*now = clockAt(t, "1:00")
	for more := true; more; {
		done, err := b.ledger.TickSchedules(b.ctx, 2)
		require.NoError(t, err)
		more = done.More
	}
	require.Equal(t, 1, b.count(`SELECT count(*) FROM {backup}`), "the good one, whichever came first")
}
