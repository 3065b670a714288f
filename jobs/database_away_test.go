package jobs

import (
	"context"
	"sync/atomic"
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
	var away *pgxpool.Pool
	b := setup(t, setupOptions{
		apis: []export.Options{{Name: "site", Size: size, Fault: export.Fault{Rate: 2 << 20}}},
		config: func(c *backup.Config) {
			c.Providers[0].MaxAttempts = 1
			away = poolAway(t, c.Pool)
			c.Pool = away
		},
	})
	b.work()
	id := b.start()
	for _, share := range []int64{4, 2} {
		b.eventually("bytes to be stored", 30*time.Second, func() bool {
			return b.count("SELECT coalesce(sum(stored_bytes), 0) FROM {backup_task}") > int(size/share)
		})
		b.endSessions()
	}
	b.eventually("the end", time.Minute, func() bool { return b.count("SELECT count(*) FROM {backup} WHERE finished_at IS NOT NULL") == 1 })
	away.Reset()
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

// The end of a plan is written even where the database ended all sessions just then:
// nobody has to wait for the lease's end and to plan again.
func TestPlanFailsWhileTheDatabaseIsAway(t *testing.T) {
	large := &largeOnce{}
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.MaxSize = 1 << 20
		c.Providers = []backup.ProviderConfig{{Name: "large", Provider: large}}
		c.Pool = poolAway(t, c.Pool)
	}})
	large.asked = b.endSessions
	b.work()
	b.start()
	b.eventually("the end", time.Minute, func() bool { return b.count("SELECT count(*) FROM {backup} WHERE state = 'failed'") == 1 })
	require.Equal(t, int32(1), large.times.Load())
}

type largeOnce struct {
	tiny
	asked func()
	times atomic.Int32
}

func (l *largeOnce) Size(context.Context, *backup.ExportRequest) (int64, error) {
	l.times.Add(1)
	l.asked()
	return 2 << 20, nil
}

// poolAway has the sessions that endSessions ends, and doesn't find that out by itself.
func poolAway(t *testing.T, pool *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	own := pool.Config()
	own.ConnConfig.RuntimeParams["application_name"] = "away"
	own.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	away, err := pgxpool.NewWithConfig(t.Context(), own)
	require.NoError(t, err)
	t.Cleanup(away.Close)
	return away
}

func (b *bundle) endSessions() {
	b.Helper()
	b.exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'away' AND datname = current_database()")
}
