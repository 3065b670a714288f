package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Somebody's open transaction on one backup must not keep a restarted process
// from its other tasks, nor from starting.
func TestOpenTransactionStopsTakeBack(t *testing.T) {
	b := setup(t)
	held := b.planFor("a", "site")
	b.claim(held, "site")
	for range 4 {
		b.claim(b.planFor("b", "site"), "site")
	}
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = tx.Exec(b.ctx, b.in(`SELECT 1 FROM {backup} WHERE id = $1 FOR NO KEY UPDATE`), held)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second) // what jobs.Workers.TakeBack gives it
	defer cancel()
	n, err := b.ledger.TakeBack(ctx, "test")
	require.NoError(t, err)
	require.Equal(t, 4, n)
}
