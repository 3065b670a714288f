package env

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// Some tests need an owner that can be killed, or that is another user: they run this test binary
// again, with the variable that makes it one.
const (
	ownerVariable   = "SITEBACKUP_ENV_TEST_OWNER"
	ignoreInterrupt = "SITEBACKUP_ENV_TEST_IGNORE_INTERRUPT"
)

func TestMain(m *testing.M) {
	if orders := os.Getenv(ownerVariable); orders != "" {
		os.Exit(own(orders))
	}
	goleak.VerifyTestMain(m)
}

// order is what an owner is to start.
type order struct {
	Service string // "postgres" or "azurite"
	Ways    []Way
	Dir     string
	Cache   string
}

// reply is one line that an owner writes when it has started it.
type reply struct{ URL, Source, Error string }

// own starts a service, says where it is, and stops it when the standard input ends.
func own(orders string) int {
	if os.Getenv(ignoreInterrupt) != "" {
		signal.Ignore(os.Interrupt)
	}
	var o order
	if err := json.Unmarshal([]byte(orders), &o); err != nil {
		return 2
	}
	var r reply
	stop, err := o.start(&r)
	if err != nil {
		r.Error = err.Error()
	}
	if json.NewEncoder(os.Stdout).Encode(r) != nil || err != nil {
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (o order) start(r *reply) (func() error, error) {
	ctx := context.Background()
	if o.Service == "azurite" {
		a, err := StartAzurite(ctx, &AzuriteOptions{
			Ways: o.Ways, Dir: o.Dir, CacheDir: o.Cache, Image: os.Getenv("BACKUP_TEST_AZURITE_IMAGE"),
		})
		if err != nil {
			return nil, err
		}
		r.URL, r.Source = a.URL, a.Source
		return a.Close, nil
	}
	p, err := StartPostgres(ctx, &PostgresOptions{
		Ways: o.Ways, Dir: o.Dir, CacheDir: o.Cache, Image: os.Getenv("BACKUP_TEST_POSTGRES_IMAGE"), Fast: true,
	})
	if err != nil {
		return nil, err
	}
	r.URL, r.Source = p.URL, p.Source
	return p.Close, nil
}

// owner is a process that owns a service.
type owner struct {
	reply
	cmd   *exec.Cmd
	stdin io.Closer
}

// startOwner runs this test binary as the owner of what is ordered, and waits until that is started.
// prepare may change the command.
func startOwner(t *testing.T, o order, prepare func(*exec.Cmd)) *owner {
	t.Helper()
	cmd := ownerCommand(t, o)
	if prepare != nil {
		prepare(cmd)
	}
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	w := &owner{cmd: cmd, stdin: stdin}
	t.Cleanup(w.kill)
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(line, &w.reply))
	return w
}

func ownerCommand(t *testing.T, o order) *exec.Cmd {
	t.Helper()
	orders, err := json.Marshal(o)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), ownerVariable+"="+string(orders))
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// end lets the owner stop what it started, and returns how it ended.
func (w *owner) end() error {
	_ = w.stdin.Close()
	return w.cmd.Wait()
}

// kill ends the owner as a power cut would.
func (w *owner) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// openDir returns a new directory that every user can get to, which t.TempDir's is not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sitebackup-env-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// need skips the test when what it needs is not to be had here, or fails it where that is forbidden.
func need(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("BACKUP_TEST_NO_SKIP") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// fetched returns the folder of the programs in this machine's cache.
func fetched(t *testing.T) (cache string, b binaries) {
	t.Helper()
	cache, err := cacheDir("")
	require.NoError(t, err)
	b, _, err = fetchPostgres(t.Context(), cache, nil)
	need(t, err)
	return cache, b
}

// writeProgram writes an executable file. No process is forked meanwhile: one that inherits the open
// file would make it busy, and it could not be run.
func writeProgram(t *testing.T, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, os.WriteFile(path, content, 0o755))
}
