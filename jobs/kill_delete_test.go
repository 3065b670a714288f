package jobs

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// killedBatch is how many backups each of the killed workers is to delete, and
// killedSteps how many steps that takes: the claim, the manifest, that all are gone, two
// objects, that all are gone, and the rows.
const (
	killedBatch = 8
	killedSteps = killedBatch * 7
)

// requireManifestsWhole checks that no manifest in the store points at an object that is
// gone.
func (b *bundle) requireManifestsWhole() {
	b.Helper()
	keys := b.keys()
	for _, key := range keys {
		if !strings.HasSuffix(key, "/manifest.json") {
			continue
		}
		var m backup.Manifest
		require.NoError(b, json.Unmarshal(b.read(key), &m))
		require.NotEmpty(b, m.Objects)
		for _, o := range m.Objects {
			require.Contains(b, keys, o.Key, "an object of %s", key)
		}
	}
}

// Processes that delete what retention has chosen, many backups at once, are killed at
// random points. After a last one that isn't, store and table agree exactly.
func TestKilledDeleting(t *testing.T) {
	rounds := envtest.Count(5, 100)
	random := seeded(t)
	dir := t.TempDir()
	policy := &retention.Policy{KeepWithin: retention.Duration(30 * day)}
	o := tinyBackups(policy)
	o.store = fileStoreIn(dir)
	b := setup(t, o)
	stop := b.work()
	var going, kept []string
	for range rounds * killedBatch {
		going = append(going, b.start())
	}
	for range 3 { // the newest
		kept = append(kept, b.start())
	}
	held := b.start()
	theirs := b.start(func(p *backup.StartParams) { p.UserID = "another" })
	kept = append(kept, held, theirs)
	b.eventually("all backups to be done", 5*time.Minute, func() bool {
		return b.count("SELECT count(*) FROM {backup} WHERE state <> 'done'") == 0
	})
	stop()
	_, err := b.client.Hold(b.ctx, held, "case 7")
	require.NoError(t, err)
	b.age(400*day, held, theirs)

	killed := 0
	for i := range rounds {
		b.age(100*day, going[i*killedBatch:(i+1)*killedBatch]...)
		b.retain()
		c := &child{Dir: dir, Retention: policy, Leads: i%2 == 1, DieAt: 1 + random.Int64N(killedSteps), DieIn: time.Duration(random.Int64N(int64(3 * time.Millisecond)))}
		p := b.spawnChild(c)
		dead := make(chan struct{})
		go func() {
			defer close(dead)
			_ = p.Wait()
		}()
		b.eventually("the worker to die", time.Minute, func() bool {
			select {
			case <-dead:
				return true
			default:
				return false
			}
		})
		b.requireManifestsWhole()
		require.Equal(t, syscall.SIGKILL, p.ProcessState.Sys().(syscall.WaitStatus).Signal())
		if n := b.count("SELECT count(*) FROM {backup} WHERE state = 'deleting'"); n > 0 {
			t.Logf("killed %s behind step %d: %d were deleting", c.DieIn, c.DieAt, n)
			killed++
		}
	}
	require.NotZero(t, killed, "some were killed while they deleted")

	b.abandoned()
	b.work()
	b.retained(b.retain())
	b.settled()
	b.requireExact(kept...)
	b.requireSound()
	require.Equal(t, 2*len(b.keys()), len(files(t, dir)), "each object and its sidecar, and nothing else is on the disk")
	require.Equal(t, len(going), b.count("SELECT count(*) FROM {backup_tombstone}"))
	b.eventually("River's jobs to end", 30*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_delete' AND state NOT IN ('completed', 'cancelled', 'discarded')") == 0
	})
}
