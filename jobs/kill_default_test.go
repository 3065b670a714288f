package jobs

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// pair is a backup whose first worker process is slow, and ends, and a second
// process that is there already. Both have the default settings.
type pair struct {
	*bundle
	id            string
	first, second *process
	asked         atomic.Pointer[time.Time] // when the source was asked again
	want          func() [sha256.Size]byte
}

// pairRate is how fast the first process may read.
const pairRate = 8 << 20

func newPair(t *testing.T) *pair {
	p := &pair{}
	dir := t.TempDir()
	api := export.Options{Name: "site", Size: int64(envtest.Count(64<<20, 512<<20)), Behavior: func(r *http.Request, n int) export.Fault {
		if n == 1 {
			return export.Fault{Rate: pairRate}
		}
		if r.Method == http.MethodGet {
			at := now()
			p.asked.CompareAndSwap(nil, &at)
		}
		return export.Fault{}
	}}
	p.want = sync.OnceValue(func() [sha256.Size]byte { return export.SHA256(api, userID, siteID) })
	p.bundle = setup(t, setupOptions{store: fileStoreIn(dir), apis: []export.Options{api}})
	p.first = p.spawnChild(&child{Dir: dir, Defaults: true})
	p.eventually("the first to lead", time.Minute, func() bool { return p.count("SELECT count(*) FROM {river_leader}") == 1 })
	p.id = p.start()
	p.waitFor(p.id, time.Minute, func(b *backup.Backup) bool { return len(b.Tasks) == 1 && b.Tasks[0].StoredBytes > 0 })
	p.second = p.spawnChild(&child{Dir: dir, Defaults: true})
	p.eventually("the second to work", time.Minute, func() bool { _, works := p.second.said.after("works as"); return works })
	return p
}

// resumed waits until the source was asked again, and returns how long that took
// since at.
func (p *pair) resumed(at time.Time) time.Duration {
	p.Helper()
	p.eventually("the other to go on", 3*time.Minute, func() bool { return p.asked.Load() != nil })
	return p.asked.Load().Sub(at)
}

// done waits until the backup is, and returns how much was read again.
func (p *pair) done() int64 {
	p.Helper()
	p.waitFor(p.id, 3*time.Minute, func(b *backup.Backup) bool { return b.State.Terminal() })
	p.requireOne(p.id, p.want())
	return p.apis["site"].handler.Stats().Bytes - p.apis["site"].options.Size
}

// At default settings a worker that is killed, and led River, costs at most 90
// seconds.
func TestKilledAtDefaults(t *testing.T) {
	t.Parallel()
	for i := range envtest.Count(1, 3) {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			random := seeded(t)
			p := newPair(t)
			p.pass(time.Duration(random.Int64N(int64(envtest.Count(3, 30)) * int64(time.Second)))) // well before the export's end
			at := now()
			p.kill(p.first)
			took := p.resumed(at)
			t.Logf("the source was asked again %s after the kill, at byte %d", took.Round(time.Second/10), p.apis["site"].handler.Stats().Bytes)
			require.Less(t, took, 90*time.Second)
			require.LessOrEqual(t, p.done(), int64(64<<20+5*8<<20+sockets))
		})
	}
}

// SIGTERM: the task is handed over within seconds, and costs neither an attempt
// nor more than what was on its way.
func TestTerminated(t *testing.T) {
	t.Parallel()
	for i := range envtest.Count(1, 10) {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			random := seeded(t)
			p := newPair(t)
			p.pass(time.Duration(random.Int64N(int64(2 * time.Second))))
			at := now()
			require.NoError(t, p.first.Process.Signal(syscall.SIGTERM))
			took := p.resumed(at)
			require.NoError(t, p.first.Wait(), "it ended as it should")
			again := p.done()
			t.Logf("the source was asked again %s after the signal, and %d bytes were read again", took.Round(time.Second/10), again)
			require.Less(t, took, 10*time.Second)
			require.LessOrEqual(t, again, int64(8<<20+sockets), "one part, and what was on its way")
			require.Zero(t, p.count("SELECT count(*) FROM {river_job} WHERE errors IS NOT NULL OR attempt > 1"), "no attempt was burnt, neither ours nor River's")
		})
	}
}
