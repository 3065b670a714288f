package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// died is as if the worker of the task or step had died, and then time had passed.
func (b *bundle) died(ago time.Duration) {
	b.Helper()
	b.exec("UPDATE {backup} SET lease_until = now() - $1::interval WHERE lease_until IS NOT NULL", ago)
	b.exec("UPDATE {backup_task} SET lease_until = now() - $1::interval WHERE lease_until IS NOT NULL", ago)
}

// A task whose workers die one after another goes on at once twice, then behind a
// growing wait, and fails when twenty have died.
func TestTaskThatKillsItsWorkers(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	args, job := b.taskArgs(id, "db"), b.job(id, "db")
	try := func() error {
		_, err := b.ledger.ClaimTask(b.ctx, args, claim(job))
		return err
	}
	b.dieAsOftenAsMay(try)
	b.died(24 * time.Hour)
	var idle *backup.IdleError
	require.ErrorAs(t, try(), &idle)
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskFailed})
	got := b.get(id).Tasks[0]
	require.Equal(t, backup.ClassPermanent, got.Failure.Class)
	require.Contains(t, got.Failure.Message, "20 workers have died one after another at this export, with 0 bytes of it stored")
	_, err := b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	job = b.job(id, "db")
	require.NoError(t, try(), "whoever retries it means it")
	b.died(time.Second)
	require.NoError(t, try())
}

// What came further, failed or was handed over in between begins the count again.
func TestWorkersThatDieInBetween(t *testing.T) {
	b := setup(t)
	for name, between := range map[string]func(w *backup.TaskWork){
		"came further": func(w *backup.TaskWork) {
			require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, Size: 10}))
			require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 5), Offset: 5, SHA256: []byte("s")}, false))
		},
		"failed":      func(w *backup.TaskWork) { b.fail(w, errTest) },
		"handed over": func(w *backup.TaskWork) { require.NoError(t, b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: w.Lease})) },
	} {
		t.Run(name, func(*testing.T) {
			id := b.start().ID
			b.plan(id, "db")
			for range 2 {
				b.claim(id, "db")
				b.died(time.Second)
			}
			between(b.claim(id, "db"))
			for range 2 {
				b.died(time.Second)
				b.claim(id, "db")
			}
		})
	}
}

// A restarted process takes its tasks back; one that killed it again and again waits.
func TestTakeBackOfATaskThatKillsItsWorkers(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	for n := 1; n <= 3; n++ {
		b.claim(id, "db")
		taken, err := b.ledger.TakeBack(b.ctx, "test")
		require.NoError(t, err)
		require.Equal(t, 1, taken)
		waits := b.count(`SELECT count(*) FROM {backup_task} t JOIN {river_job} j ON j.id = t.river_job_id
			WHERE t.backup_id = $1 AND t.next_attempt_at > now() + interval '50 seconds' AND j.scheduled_at = t.next_attempt_at`, id)
		require.Equal(t, n > 2, waits == 1, "%d died", n)
	}
}

// The worker recorded a wait and died before River knew of it: the job is rescued, and
// the wait holds, of a task and of a step.
func TestWaitsHoldWhenTheWorkerDies(t *testing.T) {
	b := setup(t)
	cause := backup.Classify(backup.RetryAfter(errTest, time.Hour, ""))
	policy := backup.RetryPolicy{MaxAttempts: 10, RetryFor: 24 * time.Hour}
	for name, ledger := range map[string]*backup.Ledger{"in groups": b.ledger, "the general way": b.ledger.General()} {
		t.Run(name, func(t *testing.T) {
			id := b.start().ID
			var early *backup.EarlyError
			plan, err := ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
			require.NoError(t, err)
			_, err = ledger.FailStep(b.ctx, plan, cause, policy)
			require.NoError(t, err)
			_, err = ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
			require.ErrorAs(t, err, &early)
			require.InDelta(t, 3600, early.Remaining.Seconds(), 60)
			b.due(id)
			b.plan(id, "db")
			_, err = ledger.FailTask(b.ctx, backup.Beat{Lease: b.claim(id, "db").Lease}, cause, policy)
			require.NoError(t, err)
			_, err = ledger.ClaimTask(b.ctx, b.taskArgs(id, "db"), claim(b.job(id, "db")))
			require.ErrorAs(t, err, &early)
			require.InDelta(t, 3600, early.Remaining.Seconds(), 60)
			require.Equal(t, backup.TaskPending, b.get(id).Tasks[0].State)
			b.claim(id, "db") // when it is due
		})
	}
}

// dieAsOftenAsMay claims twenty times, and has each worker but the last one die.
func (b *bundle) dieAsOftenAsMay(try func() error) {
	b.Helper()
	var early *backup.EarlyError
	var leased *backup.LeasedError
	require.NoError(b, try())
	for n := 1; n < 20; n++ {
		require.ErrorAs(b, try(), &leased)
		wait := time.Duration(0)
		if n > 2 {
			wait = min(time.Minute<<(n-3), time.Hour)
			b.died(wait - 30*time.Second)
			require.ErrorAs(b, try(), &early, "%d died", n)
			require.InDelta(b, 30, early.Remaining.Seconds(), 15)
		}
		b.died(wait + time.Second)
		require.NoError(b, try(), "%d died", n)
	}
}
