package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The room of a task that has ended goes to the next one that can use it, also
// where one before it was canceled while it waited.
func TestCanceledWaiterSwallowsAdmission(t *testing.T) {
	b := setup(t, limitSite(1))
	first, canceled, next := b.planFor("a", "site"), b.planFor("b", "site"), b.planFor("c", "site")
	running := b.claim(first, "site")
	b.waits(canceled, "site")
	b.waits(next, "site")
	_, err := b.client.Cancel(b.ctx, canceled)
	require.NoError(t, err)
	b.done(running)
	n, err := b.ledger.Admit(b.ctx, 8) // what the worker does behind a task
	require.NoError(t, err)
	require.Equal(t, 1, n, "there is room, and a task waits for it")
	require.Equal(t, "admitted", b.slot(next))
}
