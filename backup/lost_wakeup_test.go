package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A task that finds no room while the last one that runs ends must get that one's
// room, and not wait for the reconciler (up to a minute with nothing running).
func TestAdmissionLostBetweenCountAndCommit(t *testing.T) {
	b := setup(t, limitSite(1))
	first, second := b.planFor("a", "site"), b.planFor("b", "site")
	running := b.claim(first, "site")
	b.gate(running)
	args, job := b.taskArgs(second, "site"), b.job(second, "site")

	// Hold the claim up between its count and its commit.
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = tx.Exec(b.ctx, b.in(`SELECT 1 FROM {backup_task} WHERE id = $1 FOR NO KEY UPDATE`), args.TaskID)
	require.NoError(t, err)
	claimed := make(chan error, 1)
	go func() {
		_, err := b.ledger.ClaimTask(b.ctx, args, claim(job))
		claimed <- err
	}()
	require.Eventually(t, func() bool {
		return b.count(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%'||$1||'%river_job_id = NULL%'`, b.schema) == 1
	}, 10*time.Second, 5*time.Millisecond)

	require.NoError(t, b.ledger.FinishTask(b.ctx, running.Lease))
	admitted := make(chan int, 1)
	go func() {
		n, err := b.ledger.Admit(b.ctx, 8)
		if err == nil {
			admitted <- n
		}
	}()
	var n int
	select { // it may wait for the claim: that would be right
	case n = <-admitted:
		require.NoError(t, tx.Rollback(b.ctx))
	case <-time.After(2 * time.Second):
		require.NoError(t, tx.Rollback(b.ctx))
		n = <-admitted
	}
	var wait *backup.WaitError
	require.ErrorAs(t, <-claimed, &wait)
	more, err := b.ledger.Admit(b.ctx, 8) // as a worker does that was turned away
	require.NoError(t, err)
	require.Equal(t, 1, n+more, "nothing runs and the task waits: slot %s", b.slot(second))
}
