package jobs

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// claimed is a lease of its own backup.
func (b *bundle) claimed(d time.Duration) backup.Lease {
	b.Helper()
	id := b.start()
	var job int64
	require.NoError(b, b.pool.QueryRow(b.ctx, b.in("SELECT river_job_id FROM {backup} WHERE id = $1"), id).Scan(&job))
	work, err := b.client.Ledger().ClaimPlan(b.ctx, id, backup.ClaimParams{JobID: job, Worker: "t", Duration: d})
	require.NoError(b, err)
	return work.Lease
}

// ends waits until ctx has ended, and returns when.
func (b *bundle) ends(ctx context.Context, limit time.Duration) time.Time {
	b.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return now()
	case <-timer.C:
		b.Fatalf("the context didn't end within %s", limit)
		return time.Time{}
	}
}

func TestHeartKeepsLeases(t *testing.T) {
	const lease = time.Second
	b := setup(t, only(tiny{}.Export))
	at := now()
	l := b.claimed(lease)
	h := newHeart(b.client.Ledger(), lease/10, lease, b.logger)
	ctx, held := h.hold(b.ctx, l, at)
	defer h.drop(held)
	b.eventually("three leases' time to pass", 20*time.Second, func() bool { return now().Sub(at) > 3*lease })
	require.NoError(t, ctx.Err())
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup} WHERE id = $1 AND lease_until > now() AND lease_token = $2", l.BackupID, l.Token))
}

// A lease that is somebody else's by now ends the attempt at the next beat, and
// no other one.
func TestHeartLosesLease(t *testing.T) {
	const lease = time.Minute
	b := setup(t, only(tiny{}.Export))
	h := newHeart(b.client.Ledger(), 100*time.Millisecond, lease, b.logger)
	mine, theirs := b.claimed(lease), b.claimed(lease)
	kept, one := h.hold(b.ctx, mine, now())
	defer h.drop(one)
	lost, two := h.hold(b.ctx, theirs, now())
	defer h.drop(two)
	b.exec("UPDATE {backup} SET lease_token = gen_random_uuid() WHERE id = $1", theirs.BackupID)
	b.ends(lost, lease/4)
	require.ErrorIs(t, context.Cause(lost), backup.ErrLeaseLost)
	require.NoError(t, kept.Err())
}

// The database can't be reached: the attempt ends before its lease does.
func TestHeartWithoutDatabase(t *testing.T) {
	const interval, lease = 500 * time.Millisecond, 3 * time.Second
	b := setup(t, only(tiny{}.Export))
	pool, err := pgxpool.NewWithConfig(b.ctx, b.pool.Config())
	require.NoError(t, err)
	client, err := backup.New(&backup.Config{Pool: pool, Schema: b.schema, Store: b.store, Logger: b.logger})
	require.NoError(t, err)
	h := newHeart(client.Ledger(), interval, lease, b.logger)
	l := b.claimed(lease)
	pool.Close()
	at := now()
	ctx, held := h.hold(b.ctx, l, at)
	defer h.drop(held)
	ended := b.ends(ctx, 2*lease)
	require.ErrorIs(t, context.Cause(ctx), backup.ErrLeaseLost)
	require.Less(t, ended.Sub(at), lease, "it ends in time")
	require.Greater(t, ended.Sub(at), interval+interval/2, "one beat that fails costs no lease")
}

// beats is a log handler that tells of beats that fail.
type beats struct {
	slog.Handler
	failed chan struct{}
}

func (h beats) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "renew leases" {
		select {
		case h.failed <- struct{}{}:
		default:
		}
	}
	return nil
}

func (beats) Enabled(context.Context, slog.Level) bool { return true }

// The worst case: a beat fails at once, and the next one hangs as long as it
// may. The look behind it is two intervals later.
func TestHeartWhenBeatsHang(t *testing.T) {
	const interval, lease = 500 * time.Millisecond, 3 * time.Second
	b := setup(t, only(tiny{}.Export))
	failed := make(chan struct{}, 1)
	h := newHeart(b.client.Ledger(), interval, lease, slog.New(beats{slog.DiscardHandler, failed}))
	l := b.claimed(lease)
	b.exec("ALTER TABLE {backup} RENAME TO away")
	// Behind the first beat 1.9 intervals are left.
	until := now().Add(interval * 29 / 10)
	ctx, held := h.hold(b.ctx, l, until.Add(-lease))
	defer h.drop(held)
	select {
	case <-failed:
	case <-b.ctx.Done():
	}
	b.exec("ALTER TABLE {away} RENAME TO backup")
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(b.ctx))) }()
	_, err = tx.Exec(b.ctx, b.in("LOCK TABLE {backup}"))
	require.NoError(t, err)
	ended := b.ends(ctx, 2*lease)
	require.ErrorIs(t, context.Cause(ctx), backup.ErrLeaseLost)
	require.True(t, ended.Before(until), "it ended %s behind its lease", ended.Sub(until))
}

// With the longest Heartbeat that Config takes, one beat that finds the row locked, or
// hangs, costs no lease.
func TestHeartAtItsLongest(t *testing.T) {
	const interval, lease = 2 * time.Second, 10 * time.Second
	b := setup(t, only(tiny{}.Export))
	w, err := New(b.client, &Config{LeaseDuration: lease, Heartbeat: interval})
	require.NoError(t, err)
	l := b.claimed(lease)
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(b.ctx))) }()
	_, err = tx.Exec(b.ctx, b.in("SELECT FROM {backup} WHERE id = $1 FOR NO KEY UPDATE"), l.BackupID)
	require.NoError(t, err)
	ctx, held := w.heart.hold(b.ctx, l, now().Add(-2*interval+interval/4)) // the first beat has hung
	defer w.heart.drop(held)
	w.heart.renew(b.ctx)
	require.NoError(t, ctx.Err())
}

// Leases are renewed while all connections of the client's pool are taken.
func TestHeartHasConnectionsOfItsOwn(t *testing.T) {
	const lease = 2 * time.Second
	b := setup(t, only(tiny{}.Export))
	cfg := b.pool.Config()
	cfg.MaxConns = 1
	small, err := pgxpool.NewWithConfig(b.ctx, cfg)
	require.NoError(t, err)
	defer small.Close()
	client, err := backup.New(&backup.Config{Pool: small, Schema: b.schema, Store: b.store, Logger: b.logger})
	require.NoError(t, err)
	w, err := New(client, &Config{LeaseDuration: lease, Heartbeat: lease / 10, LeasePool: b.pool})
	require.NoError(t, err)
	l, at := b.claimed(lease), now()
	taken, err := small.Acquire(b.ctx)
	require.NoError(t, err)
	defer taken.Release()
	ctx, held := w.heart.hold(b.ctx, l, at)
	defer w.heart.drop(held)
	b.eventually("two leases' time to pass", 20*time.Second, func() bool { return now().Sub(at) > 2*lease })
	require.NoError(t, ctx.Err())
}

// The heart beats only while there are leases, and drop waits for its end.
func TestHeartStops(t *testing.T) {
	const lease = time.Minute
	b := setup(t, only(tiny{}.Export))
	h := newHeart(b.client.Ledger(), lease/10, lease, b.logger)
	for range 2 { // it starts again
		ctx, one := h.hold(b.ctx, b.claimed(lease), now())
		_, two := h.hold(b.ctx, b.claimed(lease), now())
		run := h.run
		require.NotNil(t, run)
		h.drop(one)
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.NotErrorIs(t, context.Cause(ctx), backup.ErrLeaseLost)
		require.Same(t, run, h.run, "it beats for the other one")
		select {
		case <-run.done:
			t.Fatal("it stopped with a lease left")
		default:
		}
		h.drop(two)
		require.Nil(t, h.run)
		select {
		case <-run.done:
		default:
			t.Fatal("it beats for nobody")
		}
	}
}
