package jobs

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// seeded is where a test's random numbers come from. BACKUP_TEST_SEED repeats a
// run's, as far as two runs are alike.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("BACKUP_TEST_SEED"), strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	require.NoError(t, err)
	t.Logf("BACKUP_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// place is where the worker processes of a test find the store.
type place struct {
	name string
	put  func(t *testing.T, c *child) blob.Store // also tells the child
}

func places() []place {
	return []place{
		{"fileblob", func(t *testing.T, c *child) blob.Store {
			c.Dir = t.TempDir()
			return fileStoreIn(c.Dir)(t)
		}},
		{"azureblob", func(t *testing.T, c *child) blob.Store {
			client := envtest.AzuriteContainer(t)
			c.Azurite, c.Container = envtest.Azurite(t), path.Base(client.URL())
			store, err := azureblob.New(client, nil)
			require.NoError(t, err)
			return store
		}},
	}
}

// reread gathers how many bytes were read twice.
type reread struct {
	mu    sync.Mutex
	bytes []int64
}

func (r *reread) add(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes = append(r.bytes, n)
}

func (r *reread) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sum, most int64
	for _, n := range r.bytes {
		sum, most = sum+n, max(most, n)
	}
	return fmt.Sprintf("%d runs: re-read %.1f MiB on average and %.1f at most", len(r.bytes), float64(sum)/float64(max(len(r.bytes), 1))/(1<<20), float64(most)/(1<<20))
}

// A worker process is killed anywhere in a backup of one large export. Another
// process makes it whole, and reads no more of the source again than the journal
// allows.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	size, cfg := int64(64<<20), &Config{PartSize: 1 << 20, Concurrency: 4, JournalBytes: 8 << 20, LeaseDuration: 2 * time.Second}
	bound := int64(8<<20 + 5<<20 + sockets)
	if envtest.Soak() {
		size, cfg = 256<<20, &Config{LeaseDuration: 2 * time.Second} // the rest as it comes
		bound = 64<<20 + 5*8<<20 + sockets
	}
	// So that the journal keeps up where the machine has other work, too.
	api := export.Options{Name: "site", Size: size, Fault: export.Fault{Rate: 32 << 20}}
	if envtest.Soak() {
		api.Fault.Rate = 0
	}
	want := sync.OnceValue(func() [sha256.Size]byte { return export.SHA256(api, userID, siteID) })
	for i, p := range places() {
		runs := envtest.Count([]int{2, 1}[i], []int{200, 20}[i])
		t.Run(p.name, func(t *testing.T) {
			var again reread
			t.Cleanup(func() { t.Log(again.String()) })
			random := seeded(t)
			for i := range runs {
				// One in each of as many stretches. A tenth of the kills come when all was
				// read.
				point := (int64(i)*size*10/9 + random.Int64N(size*10/9)) / int64(runs)
				t.Run(strconv.FormatInt(point, 10), func(t *testing.T) {
					n, times := killAt(t, p, api, point, cfg, want)
					require.LessOrEqual(t, n, bound*times)
					again.add(n)
				})
			}
		})
	}
}

// sockets is what is allowed for bytes that were sent and never read.
const sockets = 16 << 20

// killAt kills a worker when the source has sent point bytes, or some time after
// all, and returns how many bytes were read again, and how often an attempt broke
// off: once, but where a machine has so much other work that the next worker loses
// its lease of 2 seconds, too.
func killAt(t *testing.T, p place, api export.Options, point int64, cfg *Config, want func() [sha256.Size]byte) (n, times int64) {
	c := &child{Config: cfg}
	b := setup(t, setupOptions{store: func(t *testing.T) blob.Store { return p.put(t, c) }, apis: []export.Options{api}})
	id := b.start()
	first := b.spawnChild(c)
	b.served("site", min(point, api.Size))
	if point > api.Size { // each 100 KiB is a millisecond
		b.pass(time.Duration((point-api.Size)/(100<<10)) * time.Millisecond)
	}
	b.kill(first)
	before, err := b.client.Get(b.ctx, id)
	require.NoError(t, err)

	b.abandoned()
	c.Leads = true
	b.spawnChild(c)
	b.waitFor(id, 2*time.Minute, func(now *backup.Backup) bool { return now.State.Terminal() })
	b.requireOne(id, want())
	after, err := b.client.Get(b.ctx, id)
	require.NoError(t, err)
	times = max(int64(len(after.Tasks[0].Attempts))-1, 1)
	n = b.apis["site"].handler.Stats().Bytes - api.Size
	t.Logf("killed when %d of %d bytes were sent and the backup was %s: %d read again, %d attempts broke off", point, api.Size, before.State, n, times)
	return n, times
}

// served waits until the source has written n bytes of exports.
func (b *bundle) served(name string, n int64) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for b.apis[name].handler.Stats().Bytes < n {
		select {
		case <-tick.C:
		case <-limit.C:
			b.Fatalf("the source has served %d of %d bytes only", b.apis[name].handler.Stats().Bytes, n)
		}
	}
}

// pass lets time pass.
func (b *bundle) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.ctx.Done():
	}
}

func (b *bundle) kill(p *process) {
	b.Helper()
	require.NoError(b, p.Process.Kill())
	_ = p.Wait()
}

// abandoned waits until the rescuer of the next leader takes all that a dead
// process had.
func (b *bundle) abandoned() {
	b.Helper()
	b.leasesEnd()
	b.eventually("River's jobs to be old", 20*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE state = 'running' AND attempted_at > now() - interval '1100 milliseconds'") == 0
	})
}

// requireOne checks that the backup is done and its one object the right one,
// and in the store once.
func (b *bundle) requireOne(id string, want [sha256.Size]byte) {
	b.Helper()
	got, err := b.client.Get(b.ctx, id)
	require.NoError(b, err)
	require.Equal(b, backup.StateDone, got.State, "%+v", got.Failure)
	require.Equal(b, []string{got.Tasks[0].ObjectKey}, b.siteObjects())
	require.Len(b, b.keys(), 2, "one object and the manifest")
	r, err := b.store.Open(b.ctx, got.Tasks[0].ObjectKey, 0, -1)
	require.NoError(b, err)
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, r)
	require.NoError(b, err)
	require.Equal(b, want[:], h.Sum(nil), "the object is what the source serves")
	require.Equal(b, want[:], got.Tasks[0].SHA256)
	require.Equal(b, 1, got.Tasks[0].Attempt, "a crash uses no attempt up")
	require.Equal(b, 1, b.count("SELECT count(*) FROM {backup_event} WHERE name = 'UpdateUploadJob' AND data->>'state' = 'done'"))
	b.requireSound()
}
