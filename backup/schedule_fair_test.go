package backup_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// What a tick starts is as if it had been asked for one by one: of a user's backups the
// later ones go behind other users', and none may be larger than the server allows.
func TestScheduleTickStartsAsOthers(t *testing.T) {
	now := clockAt(t, "0:30")
	b := setup(t, func(c *backup.Config) { c.Now, c.MaxSize = func() time.Time { return now }, 10 })
	for i, user := range []string{"many", "many", "many", "few"} {
		_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: user, SiteID: fmt.Sprint(i), Cron: "@hourly", MaxSize: int64(i) * 7})
		require.NoError(t, err)
	}
	now = clockAt(t, "1:00")
	done, err := b.ledger.TickSchedules(b.ctx, 10)
	require.NoError(t, err)
	require.Equal(t, backup.Ticked{Started: 4}, done)
	for user, want := range map[string]string{"many": "1 2 2", "few": "1"} {
		var got string
		err := b.pool.QueryRow(b.ctx, b.in(`SELECT string_agg(j.priority::text, ' ' ORDER BY j.priority) FROM {backup} b JOIN {river_job} j ON j.id = b.river_job_id WHERE b.user_id = $1`), user).Scan(&got)
		require.NoError(t, err)
		require.Equal(t, want, got, user)
	}
	for site, want := range []int{10, 7, 10, 10} {
		require.Equal(t, want, b.count(`SELECT max_size FROM {backup} WHERE site_id = $1`, fmt.Sprint(site)), site)
	}
}
