package jobs

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// The database is restored to a moment before the gate, and the store has gone
// on to the end. The workers make a right copy again.
func TestRestoredDatabaseBeforeGate(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"start", "plan", "bytes"} {
		t.Run(moment, func(t *testing.T) {
			const size = 4 << 20
			b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: size, Fault: export.Fault{Times: 1, Rate: 8 << 20}}}})
			var then *saved
			client, w := b.riverClient()
			var once sync.Once
			w.passed = func(step string) {
				if step == moment {
					once.Do(func() { then = b.save() })
				}
			}
			id := b.start()
			if moment == "start" {
				then = b.save()
			}
			require.NoError(t, client.Start(b.ctx))
			if moment == "bytes" {
				b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 1 && now.Tasks[0].StoredBytes > size/4 })
				then = b.save()
			}
			b.requireCopy(b.wait(id))
			require.NoError(t, client.StopAndCancel(b.ctx))

			then.restore()
			b.abandoned()
			b.work()
			b.requireCopy(b.wait(id))
			b.requireSound()
		})
	}
}

// The backup is deleted while a zombie sleeps that is about to write its
// manifest: it doesn't come again.
func TestZombieManifestOfDeletedBackup(t *testing.T) {
	t.Parallel()
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			z := newZombie(t, p, &child{StopFor: "manifest"})
			z.isStopped()
			z.work()
			z.taken()
			z.deleted()
			z.continues()
			require.Empty(t, z.keys())
		})
	}
}
