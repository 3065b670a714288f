package backup_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

func declared(site, cron string) backup.ScheduleParams {
	return backup.ScheduleParams{UserID: userID, SiteID: site, Cron: cron}
}

// named are the schedules there are, by site.
func (b *bundle) schedulesBySite() map[string]*backup.Schedule {
	b.Helper()
	all, err := b.client.ListSchedules(b.ctx, backup.ListSchedulesParams{Limit: 200})
	require.NoError(b, err)
	by := make(map[string]*backup.Schedule)
	for _, s := range all {
		by[s.SiteID] = s
	}
	require.Len(b, by, len(all))
	return by
}

func TestDeclareSchedules(t *testing.T) {
	b := setup(t)
	mine, err := b.client.PutSchedule(b.ctx, declared("mine", "@daily"))
	require.NoError(t, err)
	taken, err := b.client.PutSchedule(b.ctx, declared("taken", "@daily"))
	require.NoError(t, err)
	full := declared("full", "30 2 * * *")
	full.Labels, full.Providers, full.Retention = map[string]string{"k": "v"}, []string{"site", "db", "db"}, &retention.Policy{KeepLast: 1}
	ps := []backup.ScheduleParams{full, declared("taken", "@hourly"), declared("gone", "@weekly")}
	done, err := b.client.DeclareSchedules(b.ctx, ps)
	require.NoError(t, err)
	require.Equal(t, backup.Declared{Put: 3}, done)
	first := b.schedulesBySite()
	require.Equal(t, taken.ID, first["taken"].ID)
	require.True(t, first["taken"].Declared)
	require.False(t, first["mine"].Declared)

	// What is so already keeps its version; a pause doesn't outlast the next start.
	_, err = b.client.PauseSchedule(b.ctx, first["taken"].ID, true)
	require.NoError(t, err)
	done, err = b.client.DeclareSchedules(b.ctx, ps[:2])
	require.NoError(t, err)
	require.Equal(t, backup.Declared{Put: 1, Deleted: 1}, done)
	second := b.schedulesBySite()
	require.Len(t, second, 3)
	require.Equal(t, first["full"].Version, second["full"].Version)
	require.False(t, second["taken"].Paused)
	require.Equal(t, mine.Version, second["mine"].Version)

	var field *backup.FieldError
	for want, bad := range map[string][]backup.ScheduleParams{
		"schedules[1].cron":   {full, declared("x", "0 25 * * *")},
		"schedules[0].siteId": {declared("", "@daily")},
		"schedules[1].name":   {full, full},
	} {
		_, err = b.client.DeclareSchedules(b.ctx, bad)
		require.ErrorAs(t, err, &field)
		require.Equal(t, want, field.Field)
	}
	require.Equal(t, second, b.schedulesBySite(), "nothing was written")

	done, err = b.client.DeclareSchedules(b.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, backup.Declared{Deleted: 2}, done)
	require.Len(t, b.schedulesBySite(), 1)
}

// Processes that start at the same time, with other files, leave what one of them has.
func TestDeclareSchedulesAtOnce(t *testing.T) {
	b := setup(t)
	const processes, sites = 6, 12
	var running sync.WaitGroup
	for i := range processes {
		var ps []backup.ScheduleParams
		for j := range sites {
			n := j
			if i%2 == 1 {
				n = sites - 1 - j // locks in another order
			}
			ps = append(ps, declared(fmt.Sprint("s", n), fmt.Sprintf("%d 3 * * *", i)))
		}
		ps = append(ps, declared(fmt.Sprint("only", i), fmt.Sprintf("%d 3 * * *", i)))
		running.Go(func() {
			_, err := b.client.DeclareSchedules(b.ctx, ps)
			require.NoError(t, err)
		})
	}
	running.Wait()
	all, crons := b.schedulesBySite(), make(map[string]bool)
	require.Len(t, all, sites+1)
	for _, s := range all {
		crons[s.Cron] = true
	}
	require.Len(t, crons, 1)
}

func TestReplaceSchedule(t *testing.T) {
	b := setup(t)
	s, err := b.client.PutSchedule(b.ctx, declared("a", "@daily"))
	require.NoError(t, err)
	now, err := b.client.ReplaceSchedule(b.ctx, s.ID, backup.ScheduleParams{UserID: "other", Name: "x", Cron: "@hourly", IfVersion: s.Version, IfAbsent: true})
	require.NoError(t, err)
	got, err := b.client.GetSchedule(b.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, got, now)
	require.Equal(t, []string{userID, "a", "default", "@hourly"}, []string{now.UserID, now.SiteID, now.Name, now.Cron})
	var version *backup.VersionError
	_, err = b.client.ReplaceSchedule(b.ctx, s.ID, backup.ScheduleParams{Cron: "@weekly", IfVersion: s.Version})
	require.ErrorAs(t, err, &version)
	require.Equal(t, now.Version, version.Version)
	for _, id := range []string{"x", "00000000-0000-0000-0000-000000000000"} {
		_, err = b.client.ReplaceSchedule(b.ctx, id, backup.ScheduleParams{Cron: "@weekly"})
		require.ErrorIs(t, err, backup.ErrScheduleNotFound)
	}
}
