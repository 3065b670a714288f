package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

func stable(c *Config, _ *river.Config) { c.StableID = "pod-0" }

// A worker that was killed and comes up again under its stable id goes on with its
// own task at once: long before the lease has ended, and without River's rescuer.
func TestTakesItsOwnTasksBack(t *testing.T) {
	const size = 8 << 20
	dir := t.TempDir()
	b := setup(t, setupOptions{
		store: fileStoreIn(dir),
		apis:  []export.Options{{Name: "site", Size: size, Fault: export.Fault{Times: 1, Rate: 2 << 20}}},
	})
	id := b.start()
	cfg := testConfig()
	cfg.StableID, cfg.LeaseDuration = "pod-0", 10*time.Minute
	cmd := b.spawnChild(&child{Dir: dir, Config: cfg})
	b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool {
		return len(now.Tasks) > 0 && now.Tasks[0].StoredBytes > size/4
	})
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()

	client, w := b.riverClient(stable, unhurried)
	stop, err := w.TakeBack(b.ctx)
	require.NoError(t, err)
	t.Cleanup(stop)
	// Postgres may not have noticed the end of the killed process's session yet.
	b.eventually("the id to be free", 10*time.Second, func() bool { return w.identity.get() == "pod-0" })
	require.NoError(t, client.Start(b.ctx))
	t.Cleanup(func() { require.NoError(t, client.StopAndCancel(context.WithoutCancel(b.ctx))) })
	got := b.wait(id)
	b.requireCopy(got)
	attempts := got.Tasks[0].Attempts
	require.Len(t, attempts, 2)
	require.Equal(t, backup.AttemptLost, attempts[0].Outcome)
	require.Equal(t, "pod-0", attempts[0].Worker)
	require.Positive(t, attempts[1].FromByte)
	require.Equal(t, 1, got.Tasks[0].Attempt)
	b.requireSound()
}

// Of two processes with one stable id the second works under another name, and
// leaves the first one's tasks alone; when the first ends, it gets the id.
func TestStableIDIsOneProcess(t *testing.T) {
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: tiny{}}}
	}})
	first, second := b.workers(stable), b.workers(stable)
	stopFirst, err := first.TakeBack(b.ctx)
	require.NoError(t, err)
	stopSecond, err := second.TakeBack(b.ctx)
	require.NoError(t, err)
	t.Cleanup(stopSecond)
	require.Equal(t, "pod-0", first.identity.get())
	require.Regexp(t, `^pod-0-[0-9a-f]{8}$`, second.identity.get())
	stopFirst()
	b.eventually("the second to get the id", 10*time.Second, func() bool { return second.identity.get() == "pod-0" })
}

// The session that holds the id is cut; whoever gets the id next has it alone.
func TestStableIDIsLostWithItsSession(t *testing.T) {
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: tiny{}}}
	}})
	w := b.workers(stable)
	stop, err := w.TakeBack(b.ctx)
	require.NoError(t, err)
	t.Cleanup(stop)
	conn, err := b.pool.Acquire(b.ctx)
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(b.ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND pid <> pg_backend_pid() AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('sitebackup worker ' || $1 || ' pod-0', 0)`, b.schema)
	require.NoError(t, err)
	var mine bool
	b.eventually("the lock", 5*time.Second, func() bool {
		require.NoError(t, conn.QueryRow(b.ctx, backup.LockWorkerID, b.schema, "pod-0").Scan(&mine))
		return mine || w.identity.get() == "pod-0"
	})
	if mine {
		b.eventually("the worker to notice", 10*time.Second, func() bool { return w.identity.get() != "pod-0" })
		_, err = conn.Exec(b.ctx, "SELECT pg_advisory_unlock_all()")
		require.NoError(t, err)
	}
	b.eventually("the worker to have its id again", 10*time.Second, func() bool { return w.identity.get() == "pod-0" })
}

func (b *bundle) workers(change ...func(*Config, *river.Config)) *Workers {
	b.Helper()
	_, w := b.riverClient(change...)
	return w
}
