package backup_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A task that began to wait when its user had many backups must come to its turn
// once they are gone, however many others come later.
func TestWaiterKeepsItsRankForEver(t *testing.T) {
	b := setup(t, limitSite(1))
	running := b.claim(b.planFor("x", "site"), "site")
	older := make([]string, 16)
	for i := range older {
		older[i] = b.start().ID
	}
	waiter := b.planFor(userID, "site")
	b.waits(waiter, "site")
	for _, id := range older {
		_, err := b.client.Cancel(b.ctx, id)
		require.NoError(t, err)
	}
	// It is its user's only one by now, and everybody else has one, too, and comes later.
	for i := range 20 {
		later := b.planFor(fmt.Sprintf("later-%d", i), "site")
		b.waits(later, "site")
		b.done(running)
		b.reconcile() // as it does every minute
		_, err := b.ledger.Admit(b.ctx, 8)
		require.NoError(t, err)
		if b.slot(waiter) == "admitted" {
			return
		}
		running = b.claim(later, "site")
	}
	require.Fail(t, "twenty tasks that came later have gone first")
}
