package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A task that was given room and that nobody runs (its provider's queue is
// paused, or the provider was taken out of the configuration) must not keep
// its user's other tasks from running.
func TestAdmittedTaskNobodyRunsBlocksItsUser(t *testing.T) {
	b := setup(t, limitUser(1))
	first := b.planFor("a", "site")
	stuck := b.planFor("a", "db")
	next := b.planFor("a", "site")
	running := b.claim(first, "site")
	b.waits(stuck, "db")
	b.waits(next, "site")

	// Now the operator pauses the queue backup_task_db in River UI.
	b.done(running)
	_, err := b.ledger.Admit(b.ctx, 8)
	require.NoError(t, err)
	require.Equal(t, "admitted", b.slot(stuck))
	// A day passes.
	b.exec(`UPDATE {backup_slot} SET created_at = created_at - interval '1 day', admitted_at = admitted_at - interval '1 day'`)
	b.exec(`UPDATE {river_job} SET created_at = created_at - interval '1 day', scheduled_at = scheduled_at - interval '1 day'`)
	b.reconcile()
	require.NotEqual(t, "waiting", b.slot(next), "nothing of the user runs, and its task still waits for room")
}
