package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

type states = map[string]backup.TaskState

func TestCancelPending(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	for range 2 { // the second changes nothing
		got, err := b.client.Cancel(b.ctx, id)
		require.NoError(t, err)
		require.Equal(t, backup.StateCanceled, got.State)
		require.NotNil(t, got.FinishedAt)
	}
	require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job} WHERE state = 'cancelled'"))
	require.Equal(t, 2, b.count("SELECT count(*) FROM {backup_event}"))

	_, err := b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
	require.ErrorContains(t, err, "is canceled")
}

func TestCancelRunning(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db", "mail", "site")
	b.finish(id, "db")
	w := b.claim(id, "mail")

	_, err := b.client.Cancel(b.ctx, id)
	require.NoError(t, err)
	b.requireState(id, backup.StateCanceled, states{"db": backup.TaskDone, "mail": backup.TaskCanceled, "site": backup.TaskCanceled})
	require.ErrorIs(t, b.ledger.OpenTask(b.ctx, w, backup.Source{}), backup.ErrLeaseLost)
	require.Equal(t, 2, b.count("SELECT count(*) FROM {river_job} WHERE state = 'cancelled' AND kind LIKE 'backup_task_%'"))
}

// A cancel waits for a task that has passed the commit gate.
func TestCancelWaitsForCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		resolve func(*bundle, *backup.TaskWork) error
		want    backup.TaskState
	}{
		"committed": {func(b *bundle, w *backup.TaskWork) error { return b.ledger.FinishTask(b.ctx, w.Lease) }, backup.TaskDone},
		"lost": {func(b *bundle, w *backup.TaskWork) error {
			_, err := b.ledger.LoseTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(errTest), backup.RetryPolicy{MaxAttempts: 10, RetryFor: time.Hour})
			return err
		}, backup.TaskCanceled},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id := b.start().ID
			b.plan(id, "db", "site")
			w := b.claim(id, "db")
			b.gate(w)

			got, err := b.client.Cancel(b.ctx, id)
			require.NoError(t, err)
			require.NotNil(t, got.CancelRequestedAt)
			b.requireState(id, backup.StateRunning, states{"db": backup.TaskCommitting, "site": backup.TaskCanceled})

			require.NoError(t, c.resolve(b, w))
			b.requireState(id, backup.StateCanceled, states{"db": c.want, "site": backup.TaskCanceled})
			require.Nil(t, b.get(id).CancelRequestedAt)
		})
	}
}

func TestCancelRefused(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	b.finish(id, "db")
	var state *backup.StateError
	_, err := b.client.Cancel(b.ctx, id)
	require.ErrorAs(t, err, &state)
	require.Equal(t, backup.StateSealing, state.State)
	b.seal(id)
	_, err = b.client.Cancel(b.ctx, id)
	require.ErrorAs(t, err, &state)
	require.Equal(t, "cancel backup: not possible while it is done", err.Error())
}
