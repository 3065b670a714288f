package main_test

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// idleState is what a worker is like that has made one backup and rests. It leads
// River's clients, so it has everything that one may have.
type idleState struct {
	goroutines  map[string]int // by what made them
	connections int
}

// measureIdle runs a worker by itself.
func measureIdle(w *world) *idleState {
	w.t.Helper()
	worker := newChaosWorker(w, "idle")
	worker.run()
	w.t.Cleanup(func() {
		worker.over()
		worker.signal(syscall.SIGKILL, true)
		<-worker.ended
	})
	b, err := w.client.Start(w.t.Context(), backup.StartParams{UserID: "idle", SiteID: "idle", Providers: []string{"db"}})
	require.NoError(w.t, err)
	poll(w.t, "the end of the first backup", func() bool {
		b, err = w.client.Get(w.t.Context(), b.ID)
		require.NoError(w.t, err)
		return b.State.Terminal()
	})
	poll(w.t, "a leader, and rest", func() bool {
		_, jobs := openWork(w)
		// A leader starts its services within a second, at random.
		return jobs == 0 && len(list(w, "SELECT leader_id FROM backup.river_leader WHERE elected_at < now() - interval '4 seconds'")) == 1
	})
	idle := &idleState{}
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'idle'").Scan(&idle.connections))
	idle.goroutines = goroutines(w.t, worker.end(syscall.SIGQUIT))
	// Its leadership would stand for 15 seconds, and its backup in the counts.
	_, err = w.pool.Exec(w.t.Context(), "DELETE FROM backup.river_leader; DELETE FROM backup.backup; DELETE FROM backup.river_job")
	require.NoError(w.t, err)
	return idle
}

var (
	goroutineRE = regexp.MustCompile(`(?m)^goroutine \d+ .*\[`)
	createdByRE = regexp.MustCompile(`created by (\S+)`)
)

// goroutines counts those in the dump that a process writes on SIGQUIT, by the
// function that made them. Those of connections that net/http keeps open are left
// out: they are as many as the busiest moment needed, for 90 seconds.
func goroutines(t testing.TB, p *chaosProcess) map[string]int {
	t.Helper()
	_, dump, ok := strings.Cut(p.err.String(), "SIGQUIT: quit")
	require.True(t, ok, "no dump of goroutines")
	count := make(map[string]int)
	for stack := range strings.SplitSeq(dump, "\n\n") {
		if !goroutineRE.MatchString(stack) {
			continue
		}
		by := "main"
		if match := createdByRE.FindStringSubmatch(stack); match != nil {
			by = match[1]
		}
		if !strings.HasPrefix(by, "net/http.(*Transport)") && !strings.HasPrefix(by, "net/http.(*Server)") {
			count[by]++
		}
	}
	require.NotEmpty(t, count)
	return count
}

// few goroutines of a kind more than an idle process has are no leak: a timer
// that runs, a health check.
const fewGoroutines = 3

// checkProcesses ends the workers, and looks at what they were: one must end in
// order with nothing in use, and the others have the goroutines of an idle one.
func checkProcesses(t *testing.T, m *monkey, idle *idleState) {
	t.Helper()
	began := time.Now()
	p := m.workers[0].end(syscall.SIGTERM)
	assert.Zero(t, p.cmd.ProcessState.ExitCode(), "%s", m.workers[0].name)
	assert.NotContains(t, p.err.String(), "connections are still in use")
	t.Logf("%s ended in %s", m.workers[0].name, time.Since(began).Round(time.Millisecond))
	for _, worker := range m.workers[1:] {
		total := 0
		for by, n := range goroutines(t, worker.end(syscall.SIGQUIT)) {
			assert.LessOrEqual(t, n, idle.goroutines[by]+fewGoroutines, "%s: goroutines made by %s", worker.name, by)
			total += n
		}
		t.Logf("%s had %d goroutines, an idle one %d", worker.name, total, sum(idle.goroutines))
	}
	for _, worker := range m.workers {
		worker.mu.Lock()
		assert.Empty(t, slices.Compact(worker.problems), "%s", worker.name)
		worker.mu.Unlock()
	}
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
