package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func (b *bundle) reconcile() backup.Reconciled {
	b.Helper()
	done, err := b.ledger.Reconcile(b.ctx, 100)
	require.NoError(b, err)
	return done
}

func TestReconcileLeavesGoodJobsAlone(t *testing.T) {
	b := setup(t)
	b.start()
	id := b.start().ID
	b.plan(id, "db", "site")
	b.claim(id, "db")
	sealing := b.start().ID
	b.plan(sealing, "db")
	b.finish(sealing, "db")
	before := b.snapshot()
	require.Zero(t, b.reconcile())
	require.Equal(t, before, b.snapshot())
}

// Whatever was done to a River job, the work goes on under a new one.
func TestReconcileLostJobs(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]string{
		"deleted":   "DELETE FROM {river_job}",
		"discarded": "UPDATE {river_job} SET state = 'discarded', finalized_at = now()",
		"completed": "UPDATE {river_job} SET state = 'completed', finalized_at = now()",
		"another's": "UPDATE {river_job} SET args = jsonb_build_object('v', 1)",
		"renamed":   "UPDATE {river_job} SET kind = 'other'",
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			pending := b.start().ID
			running := b.start().ID
			b.plan(running, "db", "site")
			zombie := b.claim(running, "db")
			sealing := b.start().ID
			b.plan(sealing, "db")
			b.finish(sealing, "db")

			b.exec(hurt)
			require.Equal(t, backup.Reconciled{Requeued: 3}, b.reconcile(), "the task whose lease is alive waits")
			b.expire()
			require.Equal(t, backup.Reconciled{Requeued: 1}, b.reconcile())
			require.Zero(t, b.reconcile())

			b.plan(pending, "db")
			b.finish(running, "db")
			b.finish(running, "site")
			b.seal(running)
			b.seal(sealing)
			require.ErrorIs(t, b.ledger.FinishTask(b.ctx, zombie.Lease), backup.ErrLeaseLost)
			require.Zero(t, b.count("SELECT count(*) FROM {backup_task} WHERE failures > 0"), "never counted as a failure")
			b.requireSound()
		})
	}
}

func TestReconcileCanceledJobs(t *testing.T) {
	b := setup(t)
	pending := b.start().ID
	running := b.start().ID
	b.plan(running, "db", "site")
	b.exec("UPDATE {river_job} SET state = 'cancelled', finalized_at = now()")
	done := b.reconcile()
	require.Equal(t, backup.Reconciled{Canceled: 2}, done, "the second task was canceled with the first")
	require.Equal(t, backup.StateCanceled, b.get(pending).State)
	b.requireState(running, backup.StateCanceled, states{"db": backup.TaskCanceled, "site": backup.TaskCanceled})
}

func TestAbandoned(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	abandoned := func(backupID, taskID string) bool {
		got, err := b.ledger.Abandoned(b.ctx, backupID, taskID)
		require.NoError(t, err)
		return got
	}
	require.True(t, abandoned(id, ""))
	_, err := b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	require.False(t, abandoned(id, ""))
	b.expire()
	require.True(t, abandoned(id, ""))
	b.plan(id, "db")
	w := b.claim(id, "db")
	require.False(t, abandoned(id, w.TaskID))
	b.expire()
	require.True(t, abandoned(id, w.TaskID))
	require.True(t, abandoned("x", "y"))
	require.True(t, abandoned(id, token().String()), "unknown")
}

func TestAdopt(t *testing.T) {
	b := setup(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first, mine, err := b.ledger.Adopt(b.ctx, 7, at, backup.PlanArgs{UserID: userID, SiteID: siteID, IdempotencyKey: "k"})
	require.NoError(t, err)
	require.True(t, mine)
	again, mine, err := b.ledger.Adopt(b.ctx, 7, at, backup.PlanArgs{UserID: userID, SiteID: siteID, IdempotencyKey: "k"})
	require.NoError(t, err)
	require.True(t, mine)
	require.Equal(t, first.ID, again.ID, "the job ran twice")
	twin, mine, err := b.ledger.Adopt(b.ctx, 8, at, backup.PlanArgs{UserID: userID, SiteID: siteID, IdempotencyKey: "k"})
	require.NoError(t, err)
	require.False(t, mine)
	require.Equal(t, first.ID, twin.ID, "it was delivered twice")
	restored, mine, err := b.ledger.Adopt(b.ctx, 7, at.Add(time.Hour), backup.PlanArgs{UserID: userID, SiteID: siteID})
	require.NoError(t, err)
	require.True(t, mine)
	require.NotEqual(t, first.ID, restored.ID, "the id came again after a restore")

	_, err = b.ledger.ClaimPlan(b.ctx, first.ID, claim(8))
	require.ErrorContains(t, err, "another River job is responsible")
	_, err = b.ledger.ClaimPlan(b.ctx, first.ID, claim(7))
	require.NoError(t, err)

	var field *backup.FieldError
	_, _, err = b.ledger.Adopt(b.ctx, 9, at, backup.PlanArgs{UserID: userID})
	require.ErrorAs(t, err, &field)
}

// Only a job that is still responsible cancels its backup.
func TestCancelByJob(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db", "site")
	w := b.claim(id, "db")
	old := b.job(id, "db")
	b.fail(w, backup.Permanent(errTest, ""))
	_, err := b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	require.NoError(t, b.ledger.CancelByJob(b.ctx, id, old))
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskPending, "site": backup.TaskPending})
	require.NoError(t, b.ledger.CancelByJob(b.ctx, id, b.job(id, "site")))
	b.requireState(id, backup.StateCanceled, states{"db": backup.TaskCanceled, "site": backup.TaskCanceled})
	require.NoError(t, b.ledger.CancelByJob(b.ctx, token().String(), 1))

	pending := b.start().ID
	require.NoError(t, b.ledger.CancelByJob(b.ctx, pending, b.job(pending, "")))
	require.Equal(t, backup.StateCanceled, b.get(pending).State)
}
