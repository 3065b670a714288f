package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Somebody's open transaction on one backup that waits must not hold up the
// admission of all the others, as Reconcile says of itself.
func TestOpenTransactionStopsAllAdmission(t *testing.T) {
	b := setup(t, limitSite(2))
	first, held, next := b.planFor("a", "site"), b.planFor("b", "site"), b.planFor("c", "site")
	other := b.planFor("d", "site")
	one, two := b.claim(first, "site"), b.claim(other, "site")
	b.waits(held, "site")
	b.waits(next, "site")
	b.done(one)
	b.done(two)

	tx, err := b.pool.BeginTx(b.ctx, pgx.TxOptions{}) // an embedder's: it cancels, and then does something else
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = tx.Exec(b.ctx, b.in(`SELECT 1 FROM {backup} WHERE id = $1 FOR NO KEY UPDATE`), held)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(b.ctx, 12*time.Second) // more than a worker gives Admit
	defer cancel()
	_, err = b.ledger.Reconcile(ctx, 100)
	require.NoError(t, err, "reconciling comes to its end")
	require.Equal(t, "admitted", b.slot(next), "there is room for both")
}
