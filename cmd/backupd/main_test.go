package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// backupd is the program under test, built once.
var (
	backupd   string
	buildArgs = []string{"build"}
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "backupd-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	backupd = filepath.Join(dir, "backupd")
	if out, err := exec.Command("go", append(buildArgs, "-o", backupd, ".")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build backupd: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := envtest.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// patience bounds every wait for what is sure to come.
const patience = 3 * time.Minute // it ends what hangs; other guests of the machine may take most of it

// process is a running backupd.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	out    output
	err    output
	done   chan struct{}
	status int
}

// start starts backupd with nothing in its environment but what is given.
func start(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(backupd, args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}, env...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
		p.status = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("backupd %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), p.out.String(), p.err.String())
		}
	})
	return p
}

// wait waits for the end and returns the exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.status
	case <-time.After(patience):
		p.t.Fatalf("backupd %v did not end in %s", p.cmd.Args[1:], patience)
		return -1
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

var readyRE = regexp.MustCompile(`(?m)msg=ready url="?([^ "]*)"?`)

// ready waits until it serves, and returns the API's URL.
func (p *process) ready() string {
	p.t.Helper()
	return p.err.await(p, readyRE)[1]
}

// output is what a process has written, to be read while it runs.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// await waits for a match in what p writes.
func (o *output) await(p *process, re *regexp.Regexp) []string {
	p.t.Helper()
	late := time.After(patience)
	for {
		o.mu.Lock()
		match := re.FindStringSubmatch(o.buf.String())
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more := o.more
		o.mu.Unlock()
		if match != nil {
			return match
		}
		select {
		case <-more:
		case <-p.done:
			p.t.Fatalf("backupd ended with status %d before it wrote %q", p.status, re)
		case <-late:
			p.t.Fatalf("backupd did not write %q in %s", re, patience)
		}
	}
}

// site is what a server under test needs.
type site struct {
	database string // its URL, an empty database
	config   string // path of the configuration file
	dir      string // the destination
	exports  map[string]export.Options
	apis     map[string]*export.Handler
}

// setup makes an empty database, mock export APIs, a destination, and a
// configuration file that names them, with more keys added.
func setup(t testing.TB, size int64, more string, faults ...export.Fault) *site {
	t.Helper()
	s := &site{database: envtest.EmptyDatabase(t), dir: t.TempDir(), exports: map[string]export.Options{}, apis: map[string]*export.Handler{}}
	var handlers []*export.Handler
	for _, name := range []string{"site", "db"} {
		o := export.Options{Name: name, Size: size, Token: name + "-hunter2"}
		if len(faults) > 0 {
			o.Fault = faults[0]
		}
		s.exports[name], s.apis[name] = o, export.NewHandler(o)
		handlers = append(handlers, s.apis[name])
	}
	server := httptest.NewServer(export.NewServeMux(handlers...))
	t.Cleanup(server.Close)
	s.config = writeFile(t, fmt.Sprintf(`destination:
  file: {path: %q}
providers:
  - name: site
    url: %[2]s/site/export/{userId}/{siteId}
    contentType: application/x-tar
    auth: {bearer: "${env:SITE_TOKEN}"}
  - name: db
    url: %[2]s/db/export/{userId}/{siteId}
    contentType: application/sql
    auth: {bearer: "${env:DB_TOKEN}"}
%[3]s`, s.dir, server.URL, more))
	return s
}

func (s *site) env() []string {
	return []string{"DATABASE_URL=" + s.database, "BACKUPD_CONFIG=" + s.config, "SITE_TOKEN=site-hunter2", "DB_TOKEN=db-hunter2"}
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backupd.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// poll calls fn until it says that it is done.
func poll(t testing.TB, what string, fn func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !fn() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not in %s", what, patience)
		}
	}
}

// lines splits text.
func lines(text string) []string {
	var all []string
	for scanner := bufio.NewScanner(strings.NewReader(text)); scanner.Scan(); {
		all = append(all, scanner.Text())
	}
	return all
}

func copyAndClose(to io.WriteCloser, from io.Reader) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
}
