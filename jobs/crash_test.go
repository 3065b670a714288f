package jobs

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// requireKilled waits for a process that kills itself.
func (b *bundle) requireKilled(cmd *exec.Cmd) {
	b.Helper()
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer timer.Stop()
	_ = cmd.Wait()
	require.Equal(b, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(), "the process reached the step")
}

// leasesEnd waits until the dead worker's leases have ended.
func (b *bundle) leasesEnd() {
	b.Helper()
	b.eventually("the leases to end", 20*time.Second, func() bool {
		return b.count("SELECT (SELECT count(*) FROM {backup_task} WHERE lease_until > now()) + (SELECT count(*) FROM {backup} WHERE lease_until > now())") == 0
	})
}

// Every step is interrupted once: the process is killed right behind it. The
// backup ends as it should by itself, and nothing is in the store twice.
func TestKilledBehindEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"plan", "gate", "commit", "task", "manifest", "seal"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			b := setup(t, setupOptions{store: fileStoreIn(dir), apis: siteAndDB(2 << 20)})
			id := b.start()
			b.requireKilled(b.spawn(dir, step))
			got, err := b.client.Get(b.ctx, id)
			require.NoError(t, err)
			require.False(t, got.State.Terminal(), "the kill left it open, as %s", got.State)

			b.leasesEnd()
			b.work()
			b.requireCopy(b.wait(id))
			require.Len(t, b.keys(), 3, "two objects and the manifest")
			require.Zero(t, b.count("SELECT count(*) FROM {backup_task} WHERE failures > 0"), "a crash is no failure")
			b.requireSound()
			if step == "gate" || step == "commit" {
				for _, a := range b.apis {
					require.LessOrEqual(t, a.handler.Stats().Bytes, a.options.Size+2<<20, "what passed the gate isn't read again")
				}
			}
		})
	}
}

// A worker is killed in the middle of a transfer; another one makes it whole.
func TestKilledMidTransfer(t *testing.T) {
	const size = 8 << 20
	dir := t.TempDir()
	b := setup(t, setupOptions{
		store: fileStoreIn(dir),
		apis:  []export.Options{{Name: "site", Size: size, Fault: export.Fault{Times: 1, Rate: 2 << 20}}, {Name: "db", Size: 1000}},
	})
	id := b.start()
	cmd := b.spawn(dir, "")
	var stored int64
	b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool {
		if len(now.Tasks) < 2 {
			return false
		}
		stored = now.Tasks[1].StoredBytes
		return stored > size/3
	})
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Empty(t, b.siteObjects(), "nothing partial is in view")

	b.leasesEnd()
	b.work()
	got := b.wait(id)
	b.requireCopy(got)
	require.Len(t, b.keys(), 3)
	require.Equal(t, 1, got.Tasks[1].Attempt, "a crash uses no attempt up")
	require.Less(t, b.apis["site"].handler.Stats().Bytes, int64(size+8<<20), "the journaled bytes weren't read again")
}

func fileStoreIn(dir string) func(t *testing.T) blob.Store {
	return func(t *testing.T) blob.Store {
		store, err := fileblob.New(dir, nil)
		require.NoError(t, err)
		return store
	}
}

// siteObjects are the objects of the provider "site" that are in view.
func (b *bundle) siteObjects() (keys []string) {
	for _, k := range b.keys() {
		if strings.Contains(k, "/site/") {
			keys = append(keys, k)
		}
	}
	return keys
}
