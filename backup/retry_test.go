package backup_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

var errTest = errors.New("it broke")

func (b *bundle) seal(id string) backup.Lease {
	b.Helper()
	w, err := b.ledger.ClaimSeal(b.ctx, id, claim(b.job(id, "")))
	require.NoError(b, err)
	_, _, err = b.ledger.SaveManifest(b.ctx, w)
	require.NoError(b, err)
	require.NoError(b, b.ledger.FinishSeal(b.ctx, w.Lease))
	return w.Lease
}

func (b *bundle) fail(w *backup.TaskWork, err error) backup.Outcome {
	b.Helper()
	out, ferr := b.ledger.FailTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(err), backup.RetryPolicy{MaxAttempts: 3, RetryFor: time.Hour})
	require.NoError(b, ferr)
	return out
}

// Retry keeps done tasks and journals, and goes on to the end.
func TestRetryFailed(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db", "mail", "site")
	b.finish(id, "db")
	w := b.claim(id, "site")
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, Size: 30}))
	journaled := &blob.Checkpoint{Parts: parts(w, 0, 10, 10), Offset: 20, SHA256: []byte("state")}
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, journaled, true))
	require.True(t, b.fail(w, backup.Permanent(errTest, "look")).Final)
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskDone, "mail": backup.TaskCanceled, "site": backup.TaskFailed})
	require.Equal(t, &backup.Failure{Class: backup.ClassPermanent, Message: "site: it broke", Hint: "look"}, b.get(id).Failure)
	old := b.job(id, "site")

	got, err := b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	require.Nil(t, got.Failure)
	require.Nil(t, got.FinishedAt)
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskDone, "mail": backup.TaskPending, "site": backup.TaskPending})
	_, err = b.ledger.ClaimTask(b.ctx, b.taskArgs(id, "site"), claim(old))
	require.ErrorContains(t, err, "another River job is responsible", "the old job has nothing to do any more")

	w = b.claim(id, "site")
	require.NotZero(t, w.Checkpoint.StagedAt)
	w.Checkpoint.StagedAt = time.Time{}
	require.Equal(t, journaled, w.Checkpoint)
	require.Equal(t, `"v"`, w.Validator)
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Resumed: true, Validator: `"v"`, Size: 30}))
	c := content(w, 10, 10, 10)
	require.NoError(t, b.ledger.GateTask(b.ctx, w, c, backup.ProofLength))
	require.NoError(t, b.ledger.FinishTask(b.ctx, w.Lease))
	b.finish(id, "mail")
	b.seal(id)
	b.requireState(id, backup.StateDone, states{"db": backup.TaskDone, "mail": backup.TaskDone, "site": backup.TaskDone})

	var notNow *backup.StateError
	_, err = b.client.Retry(b.ctx, id)
	require.ErrorAs(t, err, &notNow)
}

// A task that failed behind the gate goes on behind it.
func TestRetryBehindGate(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	w := b.claim(id, "db")
	c := b.gate(w)
	b.fail(w, backup.Permanent(errTest, ""))
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskFailed})

	_, err := b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskCommitting})
	w = b.claim(id, "db")
	require.Equal(t, c, w.Content())
	require.NoError(t, b.ledger.FinishTask(b.ctx, w.Lease))
	b.seal(id)
	b.requireState(id, backup.StateDone, states{"db": backup.TaskDone})
}

// What is too old to stand beside an export that is made now is made again,
// under another manifest.
func TestRetryReopensOldTasks(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db", "site")
	b.finish(id, "db")
	key := b.get(id).Tasks[0].ObjectKey
	b.fail(b.claim(id, "site"), backup.Permanent(errTest, ""))
	b.exec("UPDATE {backup_task} SET capture_finished_at = now() - interval '25 hours' WHERE state = 'done'")

	_, err := b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskPending, "site": backup.TaskPending})
	require.NotEqual(t, key, b.get(id).Tasks[0].ObjectKey)
	b.finish(id, "db")
	b.finish(id, "site")
	b.seal(id)
	require.Contains(t, b.get(id).ManifestKey, "/manifest-2.json")
}

func TestRetryPlanningAndSealing(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	policy := backup.RetryPolicy{MaxAttempts: 2}
	w, err := b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	out, err := b.ledger.FailStep(b.ctx, w, backup.Classify(errTest), policy)
	require.NoError(t, err)
	require.False(t, out.Final)
	require.NotNil(t, b.get(id).NextAttemptAt)
	b.due(id)
	w, err = b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	out, err = b.ledger.FailStep(b.ctx, w, backup.Classify(errTest), policy)
	require.NoError(t, err)
	require.True(t, out.Final)
	b.requireState(id, backup.StateFailed, states{})

	_, err = b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	b.requireState(id, backup.StatePending, states{})
	b.plan(id, "db")
	b.finish(id, "db")
	w, err = b.ledger.ClaimSeal(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	before, key, err := b.ledger.SaveManifest(b.ctx, w)
	require.NoError(t, err)
	_, err = b.ledger.FailStep(b.ctx, w, backup.Classify(backup.Permanent(errTest, "")), policy)
	require.NoError(t, err)
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskDone})

	_, err = b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	b.requireState(id, backup.StateSealing, states{"db": backup.TaskDone})
	w, err = b.ledger.ClaimSeal(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	after, again, err := b.ledger.SaveManifest(b.ctx, w)
	require.NoError(t, err)
	require.Equal(t, before, after, "a manifest that may be in the store stays as it is")
	require.Equal(t, key, again)
	require.NoError(t, b.ledger.FinishSeal(b.ctx, w.Lease))
	b.requireState(id, backup.StateDone, states{"db": backup.TaskDone})
}
