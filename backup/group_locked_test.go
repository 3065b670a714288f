package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// Somebody's open CancelTx holds up its backup's own tasks, and no others.
func TestGroupDoesNotWaitForOneLockedTask(t *testing.T) {
	b := setup(t)
	ids := []string{b.start().ID, b.start().ID}
	works := make([]*backup.TaskWork, 2)
	for i, id := range ids {
		b.plan(id, "db")
		works[i] = b.claim(id, "db")
	}
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = b.client.CancelTx(b.ctx, tx, ids[0])
	require.NoError(t, err)
	errs := make([]error, 2)
	began := time.Now()
	var took time.Duration
	b.ledger.Together(nothing,
		func() { errs[0] = b.ledger.OpenTask(b.ctx, works[0], backup.Source{Size: 10}) },
		func() {
			errs[1] = b.ledger.OpenTask(b.ctx, works[1], backup.Source{Size: 10})
			took = time.Since(began)
			_ = tx.Rollback(context.WithoutCancel(b.ctx))
		})
	requireNone(t, errs)
	require.Less(t, took, time.Second)
}
