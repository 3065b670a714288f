package jobs

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// Every attempt is told: when, by whom, how it ended, and how far it came.
func TestAttemptsAreKept(t *testing.T) {
	const size = 4 << 20
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: size, Fault: export.Fault{Times: 2, Cut: true, After: 1 << 20}}}})
	b.work(func(c *Config, _ *river.Config) { c.WorkerID = "worker-1" })
	got := b.wait(b.start())
	b.requireCopy(got)
	attempts := got.Tasks[0].Attempts
	require.Len(t, attempts, 3)
	var stored int64
	for i, a := range attempts {
		require.Equal(t, i+1, a.N)
		require.Equal(t, "worker-1", a.Worker)
		require.WithinDuration(t, time.Now(), a.StartedAt, time.Minute)
		require.False(t, a.EndedAt.Before(a.StartedAt))
		require.Equal(t, stored, a.FromByte)
		require.Greater(t, a.StoredBytes, stored)
		require.GreaterOrEqual(t, a.ReceivedBytes, a.StoredBytes)
		stored = a.StoredBytes
		if i < 2 {
			require.Equal(t, backup.AttemptFailed, a.Outcome)
			require.Equal(t, backup.ClassRetryable, a.Failure.Class)
			require.Contains(t, a.Failure.Message, "EOF")
			require.NotEmpty(t, a.Failure.Hint)
		}
	}
	require.Equal(t, backup.AttemptDone, attempts[2].Outcome)
	require.Nil(t, attempts[2].Failure)
	require.EqualValues(t, size, stored)
}

// A source that breaks off more often than there are attempts, and goes on each
// time, comes to its end.
func TestProgressStartsTheCountAgain(t *testing.T) {
	const size = 6 << 20
	b := setup(t, setupOptions{
		apis:   []export.Options{{Name: "site", Size: size, Fault: export.Fault{Times: 5, Cut: true, After: 1 << 20}}},
		config: func(c *backup.Config) { c.Providers[0].MaxAttempts = 2 },
	})
	b.work()
	got := b.wait(b.start())
	b.requireCopy(got)
	require.Greater(t, len(got.Tasks[0].Attempts), 2)
}

// One that can't go on fails when the attempts are used up, however far each came.
func TestBeginningAgainIsNoProgress(t *testing.T) {
	b := setup(t, setupOptions{
		apis:   []export.Options{{Name: "site", Size: 6 << 20, Fault: export.Fault{Times: 5, Cut: true, After: 1 << 20, NoRange: true}}},
		config: func(c *backup.Config) { c.Providers[0].MaxAttempts = 3 },
	})
	b.work()
	got := b.wait(b.start())
	require.Equal(t, backup.StateFailed, got.State)
	require.Len(t, got.Tasks[0].Attempts, 3)
	require.Equal(t, 3, got.Tasks[0].Attempt)
}

// Waits that the source asks for use no attempt up, but end with RetryFor.
func TestWaitsEndWithRetryFor(t *testing.T) {
	b := setup(t, setupOptions{
		apis: []export.Options{{Name: "site", Size: 1000, Fault: export.Fault{Times: 100, Status: http.StatusServiceUnavailable, RetryAfter: "1"}}},
		config: func(c *backup.Config) {
			c.Providers[0].MaxAttempts, c.Providers[0].RetryFor = 1, time.Minute
		},
	})
	b.work()
	id := b.start()
	b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 1 && len(now.Tasks[0].Attempts) == 2 })
	b.exec("UPDATE {backup_task} SET progress_at = progress_at - interval '59 seconds' WHERE backup_id = $1", id)
	got := b.wait(id)
	require.Equal(t, backup.StateFailed, got.State)
	require.Equal(t, backup.ClassRetryAfter, got.Failure.Class)
	require.GreaterOrEqual(t, len(got.Tasks[0].Attempts), 3)
}

// The last hundred are kept.
func TestHistoryIsBounded(t *testing.T) {
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: tiny{}}}
	}})
	l, id := b.client.Ledger(), b.start()
	plan, err := l.ClaimPlan(b.ctx, id, backup.ClaimParams{JobID: int64(b.count("SELECT river_job_id FROM {backup}")), Duration: time.Minute})
	require.NoError(t, err)
	require.NoError(t, l.FinishPlan(b.ctx, plan.Lease, []backup.Planned{{Provider: "site", Size: -1}}))
	args := backup.TaskArgs{BackupID: id, Provider: "site"}
	require.NoError(t, b.pool.QueryRow(b.ctx, b.in("SELECT id::text FROM {backup_task}")).Scan(&args.TaskID))
	job := int64(b.count("SELECT river_job_id FROM {backup_task}"))
	for i := range backup.MaxAttemptHistory + 5 {
		b.exec("UPDATE {backup_task} SET next_attempt_at = NULL") // the second has passed
		w, err := l.ClaimTask(b.ctx, args, backup.ClaimParams{JobID: job, Worker: "w", Duration: time.Minute})
		require.NoError(t, err)
		if i%2 == 0 {
			require.NoError(t, l.ReleaseTask(b.ctx, backup.Beat{Lease: w.Lease}))
			continue
		}
		cause := backup.Classify(backup.RetryAfter(errors.New("busy"), time.Second, ""))
		_, err = l.FailTask(b.ctx, backup.Beat{Lease: w.Lease}, cause, backup.RetryPolicy{MaxAttempts: 1})
		require.NoError(t, err)
	}
	got, err := b.client.Get(b.ctx, id)
	require.NoError(t, err)
	attempts := got.Tasks[0].Attempts
	require.Len(t, attempts, backup.MaxAttemptHistory)
	require.Equal(t, 6, attempts[0].N)
	require.Equal(t, backup.MaxAttemptHistory+5, attempts[len(attempts)-1].N)
	require.Equal(t, backup.AttemptFailed, attempts[0].Outcome)
	require.Equal(t, backup.AttemptHanded, attempts[1].Outcome)
}
