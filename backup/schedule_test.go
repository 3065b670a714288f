package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// clocked is a client whose schedules see the time that is set.
func clocked(t *testing.T, at string) (*bundle, *time.Time) {
	now, err := time.Parse(time.RFC3339, at)
	require.NoError(t, err)
	return setup(t, func(c *backup.Config) { c.Now = func() time.Time { return now } }), &now
}

func TestScheduleStartsItsSlots(t *testing.T) {
	b, now := clocked(t, "2026-03-28T12:00:00Z")
	s, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Overlap: backup.OverlapAllow})
	require.NoError(t, err)
	require.Equal(t, "2026-03-29T01:00:00Z", s.NextSlot.Format(time.RFC3339), "right behind the gap")

	*now = s.NextSlot.Add(-time.Second)
	done, err := b.ledger.TickSchedules(b.ctx, 10)
	require.NoError(t, err)
	require.Equal(t, backup.Ticked{}, done)

	*now = *s.NextSlot
	for _, want := range []int{1, 0} {
		done, err = b.ledger.TickSchedules(b.ctx, 10)
		require.NoError(t, err)
		require.Equal(t, want, done.Started)
	}
	*now = now.Add(4 * 24 * time.Hour)
	done, err = b.ledger.TickSchedules(b.ctx, 10)
	require.NoError(t, err)
	require.Equal(t, backup.Ticked{Started: 1, Skipped: 3}, done)

	runs, err := b.client.ScheduleRuns(b.ctx, s.ID, time.Time{}, 10)
	require.NoError(t, err)
	require.Len(t, runs, 3)
	require.Equal(t, 3, runs[1].Slots)
	require.Equal(t, backup.SkipCatchUp, runs[1].Reason)
	got, err := b.client.List(b.ctx, backup.ListParams{Schedule: s.ID})
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, runs[0].BackupID, got[0].ID)
	require.True(t, runs[0].Slot.Equal(*got[0].Slot))
	require.NotZero(t, b.job(got[0].ID, ""))
}
