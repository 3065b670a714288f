package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/stretchr/testify/require"
)

// chaosWorker is a place where a backupd process runs, and another one whenever
// that has ended, as an orchestrator would have it.
type chaosWorker struct {
	t       testing.TB
	name    string
	env     []string
	proxies map[string]*toxiproxy.Proxy
	over    context.CancelFunc
	ended   chan struct{}

	mu       sync.Mutex
	current  *chaosProcess
	starts   int
	refused  int      // processes that ended before they were ready
	problems []string // what no process may do, whatever is done to it
}

// chaosProcess is one process of a worker.
type chaosProcess struct {
	cmd    *exec.Cmd
	err    output
	done   chan struct{}
	url    string // where its API is, once it is ready
	killed bool   // by us; under the worker's mu
}

// newChaosWorker prepares a worker. Run starts it.
func newChaosWorker(w *world, name string) *chaosWorker {
	w.t.Helper()
	cw := &chaosWorker{t: w.t, name: name, proxies: make(map[string]*toxiproxy.Proxy), over: func() {}, ended: make(chan struct{})}
	for _, target := range targets {
		cw.proxies[target] = w.proxy(name+"-"+target, target)
	}
	identity := "id"
	if name == "worker-2" {
		identity = "stableID" // one of them takes its own tasks back
	}
	var config strings.Builder
	fmt.Fprintf(&config, `database: {wait: 2m}
destination:
  azure: {container: %s, connectionString: "${env:STORE}"}
workers: {%s: %s, partSize: 64KiB, journalInterval: 200ms, leaseDuration: 6s}
providers:
`, chaosContainer, identity, name)
	for _, o := range chaosSources {
		fmt.Fprintf(&config, "  - {name: %[1]s, url: \"http://%[2]s/%[1]s/export/{userId}/{siteId}\", maxWorkers: 6, stallTimeout: 3s, headerTimeout: 5s}\n",
			o.Name, cw.proxies[toSources].Listen)
	}
	cw.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(),
		"DATABASE_URL=" + w.through(cw.proxies[toPostgres].Listen, name),
		"STORE=" + strings.ReplaceAll(w.azurite.ConnectionString, w.upstream[toStore], cw.proxies[toStore].Listen),
		"BACKUPD_CONFIG=" + writeFile(w.t, config.String()),
	}
	return cw
}

// run keeps a process running until stop is called.
func (w *chaosWorker) run() {
	ctx, cancel := context.WithCancel(context.Background())
	w.over = cancel
	go func() {
		defer close(w.ended)
		for ctx.Err() == nil {
			p, err := w.launch(ctx)
			if err != nil {
				w.problem("start: %v", err)
				return
			}
			<-p.done
			w.bury(ctx, p)
			pause(ctx, 300*time.Millisecond)
		}
	}()
}

// launch starts a process.
func (w *chaosWorker) launch(ctx context.Context) (*chaosProcess, error) {
	p := &chaosProcess{cmd: exec.Command(backupd, "serve", "--listen", "localhost:0"), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = w.env, os.TempDir(), &p.err
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		p.killed = true
		close(p.done)
		return p, nil
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	w.current = p
	w.starts++
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// neverRE is what no log may have in it.
var neverRE = regexp.MustCompile(`(?m)^.*(?:DATA RACE|^panic: |^fatal error: |msg=panic|this is a bug|Eby8vdM02x).*$`)

// bury looks at what a process has left behind.
func (w *chaosWorker) bury(ctx context.Context, p *chaosProcess) {
	log := p.err.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.cmd.Process == nil {
		return
	}
	file := filepath.Join(w.t.ArtifactDir(), fmt.Sprintf("%s-%d.log", w.name, w.starts))
	if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
		w.problems = append(w.problems, err.Error())
	}
	if line := neverRE.FindString(log); line != "" {
		w.problems = append(w.problems, fmt.Sprintf("process %d logged: %s", w.starts, line))
	}
	switch last := lines(log); {
	case p.killed || ctx.Err() != nil:
	case !readyRE.MatchString(log):
		w.refused++
	default:
		w.problems = append(w.problems, fmt.Sprintf("process %d ended by itself, %s: %s", w.starts, p.cmd.ProcessState, last[len(last)-1]))
	}
}

func (w *chaosWorker) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// signal sends the process a signal; end says that it is meant to end of it.
func (w *chaosWorker) signal(s syscall.Signal, end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == nil {
		return
	}
	w.current.killed = w.current.killed || end
	_ = w.current.cmd.Process.Signal(s) // it may have ended already
}

// url is where its API is, or "" while it isn't ready.
func (w *chaosWorker) url() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil && w.current.url == "" {
		if match := readyRE.FindStringSubmatch(w.current.err.String()); match != nil {
			w.current.url = match[1]
		}
	}
	if w.current == nil {
		return ""
	}
	return w.current.url
}

// end ends the worker with a signal to its process, and returns that process.
func (w *chaosWorker) end(s syscall.Signal) *chaosProcess {
	w.t.Helper()
	w.over()
	w.signal(s, true)
	select {
	case <-w.ended:
	case <-time.After(patience):
		w.signal(syscall.SIGKILL, true)
		<-w.ended
		require.Failf(w.t, "a worker did not end", "%s, %s after %s", w.name, patience, s)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}
