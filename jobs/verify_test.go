package jobs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// verified asks for a verification and waits for its end.
func (b *bundle) verified(id string, p backup.VerifyParams) (got *backup.Backup) {
	b.Helper()
	_, err := b.client.Verify(b.ctx, id, p)
	require.NoError(b, err)
	b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool { got = now; return !now.Verifying() })
	return got
}

// A copy is verified; damaged, which is marked and told in an event; and mended,
// which only a verification that reads everything believes.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	b := setup(t, setupOptions{store: fileStoreIn(dir), apis: siteAndDB(300 << 10)})
	b.work()
	id := b.start()
	m := b.requireCopy(b.wait(id))
	got := b.verified(id, backup.VerifyParams{})
	require.NotNil(t, got.VerifiedAt)
	require.Nil(t, got.CorruptAt)
	require.Equal(t, got.VerifiedAt.UTC(), got.Verification.FinishedAt.UTC())
	require.Equal(t, 2, got.Verification.Objects)
	require.EqualValues(t, m.Objects[0].Size+m.Objects[1].Size, got.Verification.Bytes)
	require.Len(t, m.Objects[1].Parts, got.Verification.Parts-len(m.Objects[0].Parts))

	flip := func() {
		name := filepath.Join(dir, m.Objects[1].Key)
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		data[len(data)-1] ^= 1
		require.NoError(t, os.WriteFile(name, data, 0o600))
	}
	flip()
	bad := b.verified(id, backup.VerifyParams{})
	require.Equal(t, backup.StateDone, bad.State)
	require.NotNil(t, bad.CorruptAt)
	require.Equal(t, got.VerifiedAt, bad.VerifiedAt)
	require.Len(t, bad.Verification.Problems, 1)
	p := bad.Verification.Problems[0]
	require.Equal(t, "site", p.Provider)
	require.Equal(t, m.Objects[1].Key, p.Key)
	require.Equal(t, len(m.Objects[1].Parts)-1, *p.Part)
	events, err := b.client.Events(b.ctx, id, 0, 1000)
	require.NoError(t, err)
	require.Contains(t, string(events[len(events)-1].Data), `"provider": "site"`)
	require.Equal(t, 2, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_verify' AND queue = 'backup_verify'"))

	flip()
	require.NotNil(t, b.verified(id, backup.VerifyParams{Sample: 0.1}).CorruptAt)
	require.Nil(t, b.verified(id, backup.VerifyParams{Sample: 1}).CorruptAt)
	b.requireSound()
}

// gated is a store whose reads of objects wait.
type gated struct {
	blob.Store
	waits  atomic.Bool
	opened chan struct{} // gets one for each read that waits
	gate   chan struct{}
	fail   error
}

func (g *gated) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if g.waits.Load() && !strings.HasSuffix(key, ".json") {
		g.opened <- struct{}{}
		select {
		case <-g.gate:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if g.fail != nil {
			return nil, g.fail
		}
	}
	return g.Store.Open(ctx, key, offset, length)
}

func gatedBackup(t *testing.T) (*bundle, *gated, string) {
	t.Helper()
	g := &gated{opened: make(chan struct{}, 100), gate: make(chan struct{})}
	b := setup(t, setupOptions{apis: siteAndDB(1000), store: func(t *testing.T) blob.Store {
		g.Store = fileStore(t)
		return g
	}})
	b.work()
	id := b.start()
	b.requireCopy(b.wait(id))
	g.waits.Store(true)
	return b, g, id
}

// A backup that is deleted while it is verified is never called corrupt.
func TestDeleteWhileVerifying(t *testing.T) {
	b, g, id := gatedBackup(t)
	var seen []string
	_, err := b.client.Verify(b.ctx, id, backup.VerifyParams{})
	require.NoError(t, err)
	<-g.opened
	_, err = b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	b.eventually("the backup to be gone", 20*time.Second, func() bool {
		events, _ := b.client.Events(b.ctx, id, 0, 1000)
		for _, e := range events {
			seen = append(seen, string(e.Data))
		}
		_, err := b.client.Get(b.ctx, id)
		return errors.Is(err, backup.ErrNotFound)
	})
	close(g.gate) // now it finds nothing
	b.eventually("River's job to end", 20*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_verify' AND state IN ('completed', 'cancelled')") == 1
	})
	require.NotContains(t, strings.Join(seen, "\n"), "problems")
	require.Empty(t, b.keys())
}

// The same, where the objects go first and the verifier judges before it hears of
// it: what it found isn't recorded.
func TestVerifyJudgesOnlyDone(t *testing.T) {
	b := setup(t, setupOptions{apis: siteAndDB(1000)})
	stop := b.work()
	id := b.start()
	b.requireCopy(b.wait(id))
	stop()
	got, err := b.client.Verify(b.ctx, id, backup.VerifyParams{})
	require.NoError(t, err)
	require.True(t, got.Verifying())
	var job int64
	require.NoError(t, b.pool.QueryRow(b.ctx, b.in("SELECT river_job_id FROM {backup} WHERE id = $1"), id).Scan(&job))
	ledger := b.client.Ledger()
	step, err := ledger.ClaimVerify(b.ctx, id, backup.ClaimParams{JobID: job, Worker: "w", Duration: time.Minute})
	require.NoError(t, err)
	work, err := ledger.VerifyWork(b.ctx, step)
	require.NoError(t, err)
	_, err = b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	for _, key := range b.keys() {
		require.NoError(t, b.store.Delete(b.ctx, key))
	}
	found, err := backup.VerifyCopy(b.ctx, b.store, work.ManifestKey, work.Manifest, work.Params)
	require.NoError(t, err)
	require.Len(t, found.Problems, 3)
	require.ErrorIs(t, ledger.FinishVerify(b.ctx, work.Lease, found), backup.ErrLeaseLost)
	require.Equal(t, 0, b.count("SELECT count(*) FROM {backup} WHERE corrupt_at IS NOT NULL OR verification IS NOT NULL"))
	_, err = b.client.Verify(b.ctx, id, backup.VerifyParams{})
	require.EqualError(t, err, "verify backup: not possible while it is deleting")
}

// A verification is asked for once, another share begins it anew, and one whose
// River job is canceled says so, whatever an earlier one found.
func TestVerifyAgain(t *testing.T) {
	b, g, id := gatedBackup(t)
	for range 2 {
		_, err := b.client.Verify(b.ctx, id, backup.VerifyParams{Sample: 0.5})
		require.NoError(t, err)
	}
	<-g.opened
	require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_verify'"))
	_, err := b.client.Verify(b.ctx, id, backup.VerifyParams{})
	require.NoError(t, err)
	<-g.opened
	require.Equal(t, 2, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_verify'"))
	close(g.gate)
	var got *backup.Backup
	b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { got = now; return !now.Verifying() })
	require.InDelta(t, 1, got.Verification.Sample, 0)
	require.NotNil(t, got.VerifiedAt)
}

func TestVerifyCanceledInRiver(t *testing.T) {
	b, g, id := gatedBackup(t)
	g.waits.Store(false)
	earlier := b.verified(id, backup.VerifyParams{})
	require.Empty(t, earlier.Verification.Failure)
	g.waits.Store(true)
	_, err := b.client.Verify(b.ctx, id, backup.VerifyParams{})
	require.NoError(t, err)
	<-g.opened
	client, _ := b.riverClient()
	var job int64
	require.NoError(t, b.pool.QueryRow(b.ctx, b.in("SELECT river_job_id FROM {backup} WHERE id = $1"), id).Scan(&job))
	_, err = client.JobCancel(b.ctx, job)
	require.NoError(t, err)
	var got *backup.Backup
	b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { got = now; return !now.Verifying() })
	require.Equal(t, backup.StateDone, got.State)
	require.Equal(t, &backup.Failure{Class: backup.ClassPermanent, Message: "the verification was canceled"}, got.Verification.Failure)
	require.True(t, got.Verification.FinishedAt.After(earlier.Verification.FinishedAt))
	require.Equal(t, earlier.VerifiedAt, got.VerifiedAt, "that one still stands")
	require.Nil(t, got.CorruptAt)
	b.requireSound()
}

// A store that is away is no damage: it is tried again, and said in the end.
func TestVerifyStoreAway(t *testing.T) {
	b, g, id := gatedBackup(t)
	g.fail = errors.New("the store is away")
	close(g.gate)
	_, err := b.client.Verify(b.ctx, id, backup.VerifyParams{})
	require.NoError(t, err)
	b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return now.NextAttemptAt != nil })
	b.exec("UPDATE {backup} SET failures = 9 WHERE id = $1", id)
	var got *backup.Backup
	b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool { got = now; return !now.Verifying() })
	require.Equal(t, backup.StateDone, got.State)
	require.Nil(t, got.Failure)
	require.Nil(t, got.CorruptAt)
	require.Nil(t, got.VerifiedAt)
	require.Contains(t, got.Verification.Failure.Message, "the store is away")
}

// A worker killed while it verifies, or when it has, is followed by another.
func TestVerifyKilled(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"verify claim", "verify"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			b := setup(t, setupOptions{store: fileStoreIn(dir), apis: siteAndDB(100 << 10)})
			stop := b.work()
			id := b.start()
			b.requireCopy(b.wait(id))
			stop()
			_, err := b.client.Verify(b.ctx, id, backup.VerifyParams{})
			require.NoError(t, err)
			b.requireKilled(b.spawn(dir, step))
			b.abandoned()
			b.work()
			var got *backup.Backup
			b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool { got = now; return !now.Verifying() })
			require.NotNil(t, got.VerifiedAt)
			b.requireSound()
		})
	}
}
