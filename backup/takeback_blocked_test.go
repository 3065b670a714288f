package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
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

// What a worker left behind is found among the backups that are open, however many there
// are that have ended.
func TestTakeBackReadsNoTableWhole(t *testing.T) {
	b := setup(t)
	b.exec(`INSERT INTO {backup} (id, user_id, site_id, state, finished_at) SELECT gen_random_uuid(), 'u', 's', 'canceled', now() FROM generate_series(1, 20000)`)
	b.exec(`INSERT INTO {backup_task} (id, backup_id, provider, upload_id, object_key, state, finished_at) SELECT gen_random_uuid(), id, 'db', gen_random_uuid(), 'k', 'canceled', now() FROM {backup}`)
	b.exec(`ANALYZE {backup}, {backup_task}`)
	deleted, verified, planned := b.ended(), b.ended(), b.start().ID
	_, err := b.client.Delete(b.ctx, deleted)
	require.NoError(t, err)
	b.claimDelete(deleted)
	_, err = b.client.Verify(b.ctx, verified, backup.VerifyParams{})
	require.NoError(t, err)
	_, err = b.ledger.ClaimVerify(b.ctx, verified, claim(b.job(verified, "")))
	require.NoError(t, err)
	_, err = b.ledger.ClaimPlan(b.ctx, planned, claim(b.job(planned, "")))
	require.NoError(t, err)
	b.claim(b.planFor("b", "site"), "site")
	m, explained := b.explained()
	n, err := m.ledger.TakeBack(b.ctx, "test")
	require.NoError(t, err)
	require.Equal(t, 4, n)
	plans := explained()
	require.NotEmpty(t, plans)
	for _, plan := range plans {
		require.NotContains(t, plan, "Seq Scan on backup")
	}
}
