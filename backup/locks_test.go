package backup_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// begin opens a transaction as a caller of ours would, and rolls it back when
// the test ends.
func (b *bundle) begin() pgx.Tx {
	b.Helper()
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(b, err)
	b.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) })
	return tx
}

// patience is how long a verb may take that must not wait for others.
func (b *bundle) patience() context.Context {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	b.Cleanup(cancel)
	return ctx
}

// leaseLeft is how long the lease with that token lasts.
func (b *bundle) leaseLeft(token uuid.UUID) (left time.Duration) {
	b.Helper()
	require.NoError(b, b.pool.QueryRow(b.ctx, b.in(`SELECT lease_until - now() FROM {backup_task} WHERE lease_token = $1
		UNION ALL SELECT lease_until - now() FROM {backup} WHERE lease_token = $1`), token).Scan(&left))
	return left
}

// A caller's open transaction on one backup must not cost other workers their
// leases, and it isn't known yet what becomes of its own.
func TestRenewGoesPastLockedRows(t *testing.T) {
	b := setup(t)
	var works []*backup.TaskWork
	for range 3 {
		id := b.start().ID
		b.plan(id, "db")
		works = append(works, b.claim(id, "db"))
	}
	var steps []*backup.StepWork
	for range 2 {
		id := b.start().ID
		w, err := b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
		require.NoError(t, err)
		steps = append(steps, w)
	}
	locked, free, lost := works[0], works[1], works[2]
	lockedStep, freeStep := steps[0], steps[1]
	require.NoError(t, b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: lost.Lease}))
	tx := b.begin()
	for _, id := range []string{locked.BackupID, lockedStep.BackupID} {
		_, err := b.client.CancelTx(b.ctx, tx, id)
		require.NoError(t, err)
	}
	beats := []backup.Beat{{Lease: locked.Lease}, {Lease: free.Lease}, {Lease: lost.Lease}, {Lease: lockedStep.Lease}, {Lease: freeStep.Lease}}

	held, err := b.ledger.Renew(b.patience(), beats, time.Hour)
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]bool{locked.Token: false, free.Token: true, lockedStep.Token: false, freeStep.Token: true}, held)
	for _, token := range []uuid.UUID{free.Token, freeStep.Token} {
		require.Greater(t, b.leaseLeft(token), lease)
	}
	for _, token := range []uuid.UUID{locked.Token, lockedStep.Token} {
		require.LessOrEqual(t, b.leaseLeft(token), lease, "it says false because it wasn't renewed")
	}

	require.NoError(t, tx.Commit(b.ctx))
	held, err = b.ledger.Renew(b.patience(), beats, time.Hour)
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]bool{free.Token: true, freeStep.Token: true}, held, "the cancel took the leases")
}

// A task that fails for good locks its siblings behind itself, whatever their
// ids; the renewal of them all must not meet it the other way round.
func TestFailTaskBesideRenew(t *testing.T) {
	b := setup(t)
	providers := []string{"a", "b", "c", "d", "e", "f"}
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	for range rounds {
		id := b.start().ID
		b.plan(id, providers...)
		var beats []backup.Beat
		for _, p := range providers {
			beats = append(beats, backup.Beat{Lease: b.claim(id, p).Lease})
		}
		slices.SortFunc(beats, func(x, y backup.Beat) int { return slices.Compare([]byte(x.TaskID), []byte(y.TaskID)) })

		var wg sync.WaitGroup
		var failed atomic.Bool
		renewing := make(chan struct{}, 2)
		errs := make([]error, 2)
		for i := range errs {
			wg.Go(func() {
				for first := true; errs[i] == nil && !failed.Load(); first = false {
					_, errs[i] = b.ledger.Renew(b.ctx, beats, lease)
					if first {
						renewing <- struct{}{}
					}
				}
			})
		}
		<-renewing
		<-renewing
		out, err := b.ledger.FailTask(b.ctx, beats[len(beats)-1], backup.Classify(backup.Permanent(errTest, "")), backup.RetryPolicy{MaxAttempts: 1})
		failed.Store(true)
		wg.Wait()
		require.NoError(t, err)
		require.True(t, out.Final)
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, backup.StateFailed, b.get(id).State)
	}
	b.requireSound()
}

// Two calls with the same idempotency keys insert in one order. The callers'
// own transactions show it: nobody tries those again after a deadlock.
func TestStartManyInAnyOrder(t *testing.T) {
	b := setup(t)
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		orders := make([][]backup.StartParams, 2)
		for i := range 20 {
			p := backup.StartParams{UserID: userID, SiteID: siteID, IdempotencyKey: fmt.Sprint(round, "-", i)}
			orders[0] = append(orders[0], p)
			orders[1] = slices.Insert(orders[1], 0, p)
		}
		got, errs := make([][]*backup.Backup, 2), make([]error, 2)
		var wg sync.WaitGroup
		for i, ps := range orders {
			wg.Go(func() {
				errs[i] = pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) (err error) {
					got[i], err = b.client.StartManyTx(b.ctx, tx, ps)
					return err
				})
			})
		}
		wg.Wait()
		require.NoError(t, errs[0])
		require.NoError(t, errs[1])
		for i := range got[0] {
			require.Equal(t, got[0][i].ID, got[1][len(got[1])-1-i].ID, "each in its caller's place")
		}
	}
	require.Equal(t, rounds*20, b.count("SELECT count(*) FROM {backup}"))
	require.Equal(t, rounds*20, b.count("SELECT count(*) FROM {river_job}"))
	b.requireSound()
}

// What somebody's open transaction holds is mended the next time, and the rest
// at once.
func TestReconcileGoesPastLockedBackup(t *testing.T) {
	b := setup(t)
	ids := []string{b.start().ID, b.start().ID, b.start().ID}
	b.exec("DELETE FROM {river_job}")
	tx := b.begin()
	_, err := tx.Exec(b.ctx, b.in("SELECT 1 FROM {backup} WHERE id = $1 FOR UPDATE"), ids[0])
	require.NoError(t, err)

	done, err := b.ledger.Reconcile(b.patience(), 100)
	require.NoError(t, err)
	require.Equal(t, backup.Reconciled{Requeued: 2}, done)
	withJob := "SELECT count(*) FROM {backup} b JOIN {river_job} j ON j.id = b.river_job_id WHERE b.id = $1"
	for i, want := range []int{0, 1, 1} {
		require.Equal(t, want, b.count(withJob, ids[i]))
	}

	require.NoError(t, tx.Rollback(b.ctx))
	require.Equal(t, backup.Reconciled{Requeued: 1}, b.reconcile())
	require.Equal(t, 1, b.count(withJob, ids[0]))
}
