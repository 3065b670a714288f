package jobs

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// A database whose sessions end in the middle of a transfer is no failure of the
// source: the attempt is handed over, and no attempt is used up.
func TestDatabaseAwayIsNoFailure(t *testing.T) {
	const size = 6 << 20
	b := setup(t, setupOptions{
		apis: []export.Options{{Name: "site", Size: size, Fault: export.Fault{Rate: 2 << 20}}},
		config: func(c *backup.Config) {
			c.Providers[0].MaxAttempts = 1
			own := c.Pool.Config()
			own.ConnConfig.RuntimeParams["application_name"] = "away"
			pool, err := pgxpool.NewWithConfig(t.Context(), own)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			c.Pool = pool
		},
	})
	b.work()
	id := b.start()
	for _, share := range []int64{4, 2} {
		b.eventually("bytes to be stored", 30*time.Second, func() bool {
			return b.count("SELECT coalesce(sum(stored_bytes), 0) FROM {backup_task}") > int(size/share)
		})
		b.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'away' AND datname = current_database()")
	}
	b.eventually("the end", time.Minute, func() bool { return b.count("SELECT count(*) FROM {backup} WHERE finished_at IS NOT NULL") == 1 })
	got := b.wait(id)
	b.requireCopy(got)
	require.Equal(t, 1, got.Tasks[0].Attempt)
	handed := 0
	for _, a := range got.Tasks[0].Attempts {
		require.NotEqual(t, backup.AttemptFailed, a.Outcome, "%+v", a.Failure)
		if a.Outcome == backup.AttemptHanded {
			handed++
		}
	}
	require.Positive(t, handed)
	b.requireSound()
}
