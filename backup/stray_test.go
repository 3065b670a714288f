package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A task that is committing can't be canceled: it needs a River job until it
// has resolved, even when somebody canceled the one it had.
func TestCanceledJobOfCommittingTask(t *testing.T) {
	t.Parallel()
	for name, notice := range map[string]func(b *bundle, id string){
		"reconcile": func(b *bundle, id string) {
			b.exec("UPDATE {river_job} SET state = 'cancelled', finalized_at = now() WHERE id = $1", b.job(id, "db"))
			b.expire()
			require.Equal(b, backup.Reconciled{Canceled: 1}, b.reconcile())
		},
		"worker": func(b *bundle, id string) {
			b.exec("UPDATE {river_job} SET state = 'cancelled', finalized_at = now() WHERE id = $1", b.job(id, "db"))
			require.NoError(b, b.ledger.CancelByJob(b.ctx, id, b.job(id, "db")))
			b.expire()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id := b.start().ID
			b.plan(id, "db", "site")
			b.gate(b.claim(id, "db"))
			old := b.job(id, "db")

			notice(b, id)
			require.NotNil(t, b.get(id).CancelRequestedAt)
			b.requireState(id, backup.StateRunning, states{"db": backup.TaskCommitting, "site": backup.TaskCanceled})
			require.NotEqual(t, old, b.job(id, "db"))
			require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job} WHERE id = $1 AND kind = 'backup_task_db' AND state = 'available'", b.job(id, "db")))
			require.Zero(t, b.reconcile(), "the new job will work on it")

			require.NoError(t, b.ledger.FinishTask(b.ctx, b.claim(id, "db").Lease))
			b.requireState(id, backup.StateCanceled, states{"db": backup.TaskDone, "site": backup.TaskCanceled})
			require.Nil(t, b.get(id).CancelRequestedAt)
			require.Zero(t, b.reconcile(), "nothing is left to mend")
		})
	}
}

// A wait that the source asked for, or a backoff, outlives the River job.
func TestRequeueKeepsNextAttempt(t *testing.T) {
	b := setup(t)
	task := b.start().ID
	b.plan(task, "db", "site")
	b.fail(b.claim(task, "db"), backup.RetryAfter(errTest, 30*time.Minute, ""))
	step := b.start().ID
	w, err := b.ledger.ClaimPlan(b.ctx, step, claim(b.job(step, "")))
	require.NoError(t, err)
	_, err = b.ledger.FailStep(b.ctx, w, backup.Classify(backup.RetryAfter(errTest, time.Hour, "")), backup.RetryPolicy{MaxAttempts: 3})
	require.NoError(t, err)

	b.exec("UPDATE {river_job} SET state = 'discarded', finalized_at = now()")
	require.Equal(t, backup.Reconciled{Requeued: 3}, b.reconcile())
	scheduled := "SELECT count(*) FROM {river_job} WHERE id = $1 AND state = 'scheduled' AND scheduled_at = $2"
	next := b.get(task).Tasks[0].NextAttemptAt
	require.NotNil(t, next)
	require.Equal(t, 1, b.count(scheduled, b.job(task, "db"), *next))
	require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job} WHERE id = $1 AND state = 'available'", b.job(task, "site")), "it waits for nothing")
	next = b.get(step).NextAttemptAt
	require.NotNil(t, next)
	require.Equal(t, 1, b.count(scheduled, b.job(step, ""), *next))
}

// After a restore of the database River's ids come again: who cancels such a
// job means another backup.
func TestCanceledJobOfAnotherRow(t *testing.T) {
	b := setup(t)
	pending := b.start().ID
	running := b.start().ID
	b.plan(running, "db", "site")
	b.exec(`UPDATE {river_job} SET state = 'cancelled', finalized_at = now(),
		args = args || jsonb_build_object('backup_id', $1::text, 'task_id', $1::text)`, token().String())

	require.Equal(t, backup.Reconciled{Requeued: 3}, b.reconcile())
	b.requireState(pending, backup.StatePending, states{})
	b.requireState(running, backup.StateRunning, states{"db": backup.TaskPending, "site": backup.TaskPending})
	require.Zero(t, b.reconcile())
}

// A job that runs again finds the backup it has made, whatever is configured
// by now.
func TestAdoptAfterProviderWasRemoved(t *testing.T) {
	b := setup(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	args := backup.PlanArgs{UserID: userID, SiteID: siteID, Providers: []string{"db"}}
	first, _, err := b.ledger.Adopt(b.ctx, 7, at, args)
	require.NoError(t, err)

	without, err := backup.New(&backup.Config{Pool: b.pool, Schema: b.schema, Providers: []backup.ProviderConfig{{Name: "site"}}})
	require.NoError(t, err)
	again, mine, err := without.Ledger().Adopt(b.ctx, 7, at, args)
	require.NoError(t, err)
	require.True(t, mine)
	require.Equal(t, first.ID, again.ID)
	var field *backup.FieldError
	_, _, err = without.Ledger().Adopt(b.ctx, 8, at, args)
	require.ErrorAs(t, err, &field, "another job asks for what there isn't")
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup}"))
}

// A backup whose row is damaged keeps none of the others from being mended.
func TestReconcilePassesOverBadRows(t *testing.T) {
	b := setup(t)
	bad, good := b.planFor("a", "site"), b.planFor("b", "site")
	b.exec(`UPDATE {backup} SET open_tasks = 0 WHERE id = $1`, bad) // it has one
	b.exec(`UPDATE {river_job} SET state = 'cancelled', finalized_at = now() WHERE id = $1`, b.job(bad, "site"))
	b.exec(`DELETE FROM {river_job} WHERE id = $1`, b.job(good, "site"))
	done, err := b.ledger.Reconcile(b.ctx, 100)
	require.NoError(t, err)
	require.Equal(t, backup.Reconciled{Requeued: 1}, done)
	b.claim(good, "site")
}
