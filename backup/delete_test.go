package backup_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// ended is a backup that is done.
func (b *bundle) ended() string {
	b.Helper()
	id := b.start().ID
	b.plan(id, "db")
	b.finish(id, "db")
	b.seal(id)
	return id
}

func (b *bundle) claimDelete(id string) *backup.StepWork {
	b.Helper()
	b.due(id)
	w, err := b.ledger.ClaimDelete(b.ctx, id, claim(b.job(id, "")))
	require.NoError(b, err)
	return w
}

func TestDelete(t *testing.T) {
	b := setup(t)
	id, other := b.ended(), b.ended()
	got, err := b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, backup.StateDeleting, got.State)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM {river_job} WHERE id = $1 AND kind = 'backup_delete' AND queue = 'backup'
		AND args = jsonb_build_object('v', 1, 'backup_id', $2::text)`, b.job(id, ""), id))
	job, events := b.job(id, ""), b.events(id)
	_, err = b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, job, b.job(id, ""), "the second changes nothing")
	require.Equal(t, events, b.events(id))
	require.Equal(t, `UpdateUploadJob {"state": "deleting"}`, events[len(events)-1])

	w := b.claimDelete(id)
	targets, err := b.ledger.DeleteTargets(b.ctx, w)
	require.NoError(t, err)
	prefix := userID + "/" + siteID + "/" + id + "/"
	require.Equal(t, []string{prefix}, targets.Prefixes)
	require.ElementsMatch(t, []string{got.Tasks[0].ObjectKey, prefix + "manifest.json"}, targets.Objects)
	require.Equal(t, events, b.events(id), "its events can be read to the end")
	b.requireSound()

	require.NoError(t, b.ledger.FinishDelete(b.ctx, w.Lease))
	_, err = b.client.Get(b.ctx, id)
	require.ErrorIs(t, err, backup.ErrNotFound)
	require.Equal(t, backup.StateDone, b.get(other).State)
	for _, table := range []string{"backup", "backup_task"} {
		require.Equal(t, 1, b.count("SELECT count(*) FROM {"+table+"}"), table)
	}
	require.Empty(t, b.events(id))
	_, err = b.client.Delete(b.ctx, id)
	require.ErrorIs(t, err, backup.ErrNotFound)

	var idle *backup.IdleError
	_, err = b.ledger.ClaimDelete(b.ctx, id, claim(1))
	require.ErrorAs(t, err, &idle)
	require.True(t, idle.Done, "a job that runs again behind the end has ended well")
	require.ErrorIs(t, b.ledger.FinishDelete(b.ctx, w.Lease), backup.ErrLeaseLost)
}

// Objects that were stored under another Config.Prefix are found, too.
func TestDeleteUnderEarlierPrefix(t *testing.T) {
	b := setup(t)
	id := b.ended()
	_, err := b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	now, err := backup.New(&backup.Config{Pool: b.pool, Schema: b.schema, Prefix: "new"})
	require.NoError(t, err)
	targets, err := now.Ledger().DeleteTargets(b.ctx, b.claimDelete(id))
	require.NoError(t, err)
	rest := userID + "/" + siteID + "/" + id + "/"
	require.Equal(t, []string{"new/" + rest, rest}, targets.Prefixes)
}

func TestDeleteRefused(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	refused := func(want backup.State) {
		t.Helper()
		_, err := b.client.Delete(b.ctx, id)
		var state *backup.StateError
		require.ErrorAs(t, err, &state)
		require.Equal(t, backup.StateError{Verb: "delete", State: want}, *state)
	}
	refused(backup.StatePending)
	b.plan(id, "db", "site")
	refused(backup.StateRunning)
	w := b.claim(id, "db")
	b.gate(w)
	_, err := b.client.Cancel(b.ctx, id)
	require.NoError(t, err)
	refused(backup.StateRunning) // a task is committing
	require.NoError(t, b.ledger.FinishTask(b.ctx, w.Lease))

	_, err = b.client.Hold(b.ctx, id, "case 7")
	require.NoError(t, err)
	_, err = b.client.Delete(b.ctx, id)
	var held *backup.HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, "case 7", held.Reason)
	require.Equal(t, backup.StateCanceled, b.get(id).State)
	_, err = b.client.Release(b.ctx, id)
	require.NoError(t, err)
	_, err = b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	b.requireSound()

	for verb, do := range map[string]func() error{
		"cancel": func() error { _, err := b.client.Cancel(b.ctx, id); return err },
		"retry":  func() error { _, err := b.client.Retry(b.ctx, id); return err },
		"hold":   func() error { _, err := b.client.Hold(b.ctx, id, ""); return err },
	} {
		require.EqualError(t, do(), verb+" backup: not possible while it is deleting")
	}
}

// A hold and a delete at the same time: one of them is refused.
func TestHoldOrDelete(t *testing.T) {
	b := setup(t)
	for range 10 {
		id := b.ended()
		var held, deleted error
		var wg sync.WaitGroup
		wg.Go(func() { _, held = b.client.Hold(b.ctx, id, "") })
		wg.Go(func() { _, deleted = b.client.Delete(b.ctx, id) })
		wg.Wait()
		require.True(t, (held == nil) != (deleted == nil), "hold: %v; delete: %v", held, deleted)
	}
	require.Zero(t, b.count("SELECT count(*) FROM {backup} WHERE state = 'deleting' AND held_at IS NOT NULL"))
}

func TestDeleteTx(t *testing.T) {
	b := setup(t)
	id := b.ended()
	rolledBack := errors.New("rolled back")
	require.ErrorIs(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		_, err := b.client.DeleteTx(b.ctx, tx, id)
		require.NoError(t, err)
		return rolledBack
	}), rolledBack)
	require.Equal(t, backup.StateDone, b.get(id).State)
	require.Zero(t, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_delete'"))
}

// A deletion that fails is tried again, and given up in the end. Then the backup
// says why, nothing happens by itself any more, and asking again begins anew.
func TestDeleteFails(t *testing.T) {
	b := setup(t)
	id := b.ended()
	_, err := b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	policy := backup.RetryPolicy{MaxAttempts: 2}
	fail := func(cause error) backup.Outcome {
		out, err := b.ledger.FailStep(b.ctx, b.claimDelete(id), backup.Classify(cause), policy)
		require.NoError(t, err)
		return out
	}
	require.False(t, fail(backup.RetryAfter(errors.New("busy"), time.Minute, "")).Final)
	require.False(t, fail(errors.New("away")).Final)
	require.Equal(t, "away", b.get(id).Failure.Message)
	require.NotNil(t, b.get(id).NextAttemptAt)
	require.True(t, fail(backup.Permanent(errors.New("immutable"), "look")).Final)
	got := b.get(id)
	require.Equal(t, backup.StateDeleting, got.State)
	require.Equal(t, "immutable", got.Failure.Message)
	events := b.events(id)
	require.Contains(t, events[len(events)-1], `"immutable"`)
	b.exec("UPDATE {river_job} SET state = 'cancelled', finalized_at = now() WHERE kind = 'backup_delete'")
	done, err := b.ledger.Reconcile(b.ctx, 100)
	require.NoError(t, err)
	require.Zero(t, done)

	first := b.job(id, "")
	got, err = b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	require.Nil(t, got.Failure)
	require.NotEqual(t, first, b.job(id, ""))
	require.NoError(t, b.ledger.FinishDelete(b.ctx, b.claimDelete(id).Lease))
	require.Zero(t, b.count("SELECT count(*) FROM {backup}"))
}

// A verification that waits for its next attempt doesn't make the deletion wait.
func TestDeleteWhileVerifyingWaits(t *testing.T) {
	b := setup(t)
	id := b.ended()
	_, err := b.client.Verify(b.ctx, id, backup.VerifyParams{})
	require.NoError(t, err)
	w, err := b.ledger.ClaimVerify(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	_, err = b.ledger.FailStep(b.ctx, w, backup.Classify(backup.RetryAfter(errTest, time.Hour, "")), backup.RetryPolicy{MaxAttempts: 2})
	require.NoError(t, err)
	_, err = b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM {river_job} WHERE id = $1 AND state = 'available' AND scheduled_at <= now()`, b.job(id, "")))
}

// Whatever is done to its River job, a deletion goes on.
func TestDeleteReconciled(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]string{
		"deleted":   "DELETE FROM {river_job} WHERE kind = 'backup_delete'",
		"canceled":  "UPDATE {river_job} SET state = 'cancelled', finalized_at = now() WHERE kind = 'backup_delete'",
		"discarded": "UPDATE {river_job} SET state = 'discarded', finalized_at = now() WHERE kind = 'backup_delete'",
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id := b.ended()
			_, err := b.client.Delete(b.ctx, id)
			require.NoError(t, err)
			first := b.job(id, "")
			b.exec(do)
			for _, want := range []backup.Reconciled{{Requeued: 1}, {}} {
				done, err := b.ledger.Reconcile(b.ctx, 100)
				require.NoError(t, err)
				require.Equal(t, want, done)
			}
			require.NotEqual(t, first, b.job(id, ""))
			require.NoError(t, b.ledger.FinishDelete(b.ctx, b.claimDelete(id).Lease))
		})
	}
	t.Run("worker restarted", func(t *testing.T) {
		b := setup(t)
		id := b.ended()
		_, err := b.client.Delete(b.ctx, id)
		require.NoError(t, err)
		dead := b.claimDelete(id)
		n, err := b.ledger.TakeBack(b.ctx, "test")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.ErrorIs(t, b.ledger.FinishDelete(b.ctx, dead.Lease), backup.ErrLeaseLost)
		require.NoError(t, b.ledger.FinishDelete(b.ctx, b.claimDelete(id).Lease))
	})
}

// A deletion that the workers have given up is asked for again, once.
func TestRetryDeletions(t *testing.T) {
	b := setup(t, retaining(retention.Policy{KeepLast: 1}))
	old := b.store(aged{age: 2 * day})
	b.store(aged{age: day})
	require.Equal(t, 1, b.apply().Removed)
	retried := func() int {
		n, err := b.ledger.RetryDeletions(b.ctx, 100)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, retried(), "it is under way")
	out, err := b.ledger.FailStep(b.ctx, b.claimDelete(old), backup.Classify(errors.New("away")), backup.RetryPolicy{MaxAttempts: 1})
	require.NoError(t, err)
	require.True(t, out.Final)
	b.exec("UPDATE {river_job} SET state = 'cancelled', finalized_at = now() WHERE kind = 'backup_delete'")
	require.Equal(t, 1, retried())
	require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_delete' AND state = 'available'"))
	require.Zero(t, retried())
}

// Deletions that fail each time don't keep the others from being asked for again.
func TestRetryDeletionsTakeTurns(t *testing.T) {
	b := setup(t)
	ids := []string{b.ended(), b.ended(), b.ended()}
	giveUp := func(id string) {
		out, err := b.ledger.FailStep(b.ctx, b.claimDelete(id), backup.Classify(backup.Permanent(errTest, "")), backup.RetryPolicy{MaxAttempts: 1})
		require.NoError(t, err)
		require.True(t, out.Final)
	}
	for _, id := range ids {
		_, err := b.client.Delete(b.ctx, id)
		require.NoError(t, err)
		giveUp(id)
	}
	for _, want := range append(ids, ids[0]) {
		n, err := b.ledger.RetryDeletions(b.ctx, 1)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, 1, b.count(`SELECT count(*) FROM {backup} WHERE id = $1 AND requested_at IS NOT NULL`, want))
		giveUp(want)
	}
}

// Nor does somebody's open transaction on one of them.
func TestRetryDeletionsPassOverLocks(t *testing.T) {
	b := setup(t)
	locked, free := b.ended(), b.ended()
	b.exec("UPDATE {backup} SET state = 'deleting', finished_at = NULL, error = 'away'")
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = tx.Exec(b.ctx, b.in(`SELECT FROM {backup} WHERE id = $1 FOR UPDATE`), locked)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	n, err := b.ledger.RetryDeletions(ctx, 100)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM {backup} WHERE id = $1 AND requested_at IS NOT NULL`, free))
}
