package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The reconciler drops the slots of tasks that have ended, and not that of one
// that was retried and claimed meanwhile: it would run uncounted.
func TestSweepDropsTheSlotOfARunningTask(t *testing.T) {
	b := setup(t, limitSite(1))
	running := b.claim(b.planFor("x", "site"), "site")
	held, retried := b.planFor("a", "site"), b.planFor("b", "site")
	b.waits(held, "site")
	b.waits(retried, "site")
	for _, id := range []string{held, retried} {
		_, err := b.client.Cancel(b.ctx, id)
		require.NoError(t, err)
	}
	b.done(running)

	tx, err := b.pool.Begin(b.ctx) // a claim of the first one, say, that takes its time
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = tx.Exec(b.ctx, b.in(`SELECT 1 FROM {backup_slot} WHERE backup_id = $1 FOR UPDATE`), held)
	require.NoError(t, err)
	reconciled := make(chan error, 1)
	go func() {
		_, err := b.ledger.Reconcile(b.ctx, 100)
		reconciled <- err
	}()
	require.Eventually(t, func() bool {
		return b.count(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE FROM %'||$1||'%backup_slot%'`, b.schema) == 1
	}, 10*time.Second, 5*time.Millisecond)
	_, err = b.client.Retry(b.ctx, retried)
	require.NoError(t, err)
	b.claim(retried, "site")
	require.NoError(t, tx.Rollback(b.ctx))
	require.NoError(t, <-reconciled)
	require.Equal(t, "running", b.slot(retried))
}
