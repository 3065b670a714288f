package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// chaosSize is how much the chaos test does.
type chaosSize struct {
	backups int
	chaos   time.Duration // how long harm is done
	settle  time.Duration // how long it may take after that until nothing is open
}

// A settled system waits for the longest of: a rescue of a dead worker's job, 90
// seconds; a run of the reconciler, 60 seconds; a backoff, which reaches 5 minutes
// with many attempts.
func chaosSizeOf() chaosSize {
	if envtest.Soak() {
		return chaosSize{backups: 500, chaos: 9 * time.Minute, settle: 12 * time.Minute}
	}
	return chaosSize{backups: 25, chaos: 25 * time.Second, settle: 3 * time.Minute}
}

// chaosSeed is a new one each time, or that of BACKUP_TEST_SEED, to do the same
// harm again; what it hits depends on the machine, too.
func chaosSeed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("BACKUP_TEST_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("the seed is %d: BACKUP_TEST_SEED=%[1]d does the same harm", seed)
	return seed
}

// Three worker processes make backups of three providers each while everything
// around them fails: they are killed, told to end and frozen; Postgres and
// Azurite are stopped and started; every way between them is cut, slowed and
// silenced; the sources misbehave; and an operator cancels, deletes and retries
// jobs in River UI. Every backup ends as one may, and nothing stays behind.
func TestChaos(t *testing.T) {
	t.Parallel()
	size := chaosSizeOf()
	w := newWorld(t, chaosSeed(t))
	idle := measureIdle(w)

	m := &monkey{t: t, world: w, strikes: make(map[string]int), canceled: make(map[string]bool)}
	for i := range 3 {
		worker := newChaosWorker(w, fmt.Sprintf("worker-%d", i+1))
		m.workers = append(m.workers, worker)
		worker.run()
		t.Cleanup(func() {
			worker.over()
			worker.signal(syscall.SIGKILL, true)
			<-worker.ended
		})
	}
	for _, worker := range m.workers {
		poll(t, worker.name+" ready", func() bool { return worker.url() != "" })
	}

	m.began = time.Now()
	var working sync.WaitGroup
	working.Go(func() { m.run(t.Context(), size.chaos) })
	startAll(w, size)
	working.Wait()
	require.Empty(t, m.broken, "put right again")

	settle(w, m, size)
	checkBackups(w, m, size)
	checkRows(w)
	checkObjects(w)
	checkConnections(w, m, idle)
	checkProcesses(t, m, idle)
	report(w, m)
}

// startAll starts the backups over the first part of the chaos, again and again
// where Postgres is away: the idempotency key makes one of them.
func startAll(w *world, size chaosSize) {
	w.t.Helper()
	gap := size.chaos * 7 / 10 / time.Duration(size.backups)
	for i := range size.backups {
		for {
			_, err := w.client.Start(w.t.Context(), chaosParams(i))
			if err == nil {
				break
			}
			require.True(w.t, backup.IsUnavailable(err), "%v", err)
			require.True(w.t, pause(w.t.Context(), 100*time.Millisecond))
		}
		pause(w.t.Context(), gap)
	}
}

// openWork counts what isn't at its end: backups, and River jobs of ours that
// aren't periodic.
func openWork(w *world) (backups, jobs int) {
	w.t.Helper()
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), `SELECT
		(SELECT count(*) FROM backup.backup WHERE state NOT IN ('done', 'failed', 'canceled')),
		(SELECT count(*) FROM backup.river_job WHERE kind ~ '^backup(_task_.*|_seal|_delete|_verify)?$' AND state NOT IN ('completed', 'cancelled', 'discarded'))`).
		Scan(&backups, &jobs))
	return backups, jobs
}

// settle waits until nothing is open any more.
func settle(w *world, m *monkey, size chaosSize) {
	w.t.Helper()
	began := time.Now()
	late := time.After(size.settle)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		backups, jobs := openWork(w)
		if backups == 0 && jobs == 0 {
			w.t.Logf("settled in %.1fs", time.Since(began).Seconds())
			return
		}
		select {
		case <-tick.C:
		case <-late:
			report(w, m)
			require.Failf(w.t, "not settled", "in %s; %d backups and %d jobs are open:\n%s", size.settle, backups, jobs, describeOpen(w))
		}
	}
}
