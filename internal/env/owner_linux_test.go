package env

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// processesIn returns the processes that run in the directory. Every process of Postgres runs in its
// data directory.
func processesIn(dir string) []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, dir) {
			found = append(found, link)
		}
	}
	return found
}

func requireNoneIn(t *testing.T, dir string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(processesIn(dir)) == 0 }, 20*time.Second, 20*time.Millisecond,
		"processes left in %s", dir)
}

func TestKilledOwnerLeavesNoPostgres(t *testing.T) {
	t.Parallel()
	cache, _ := fetched(t)
	dir := openDir(t)
	w := startOwner(t, order{Service: "postgres", Ways: []Way{Fetched}, Cache: cache, Dir: dir}, nil)
	require.NoError(t, pingPostgres(t.Context(), w.URL))
	require.Greater(t, len(processesIn(dir)), 3)
	w.kill()
	requireNoneIn(t, dir)
}

func TestKilledOwnerLeavesNoAzurite(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	w := startOwner(t, order{Service: "azurite", Ways: []Way{Fetched}, Dir: dir}, nil)
	if w.Error != "" {
		need(t, fmt.Errorf("%s", w.Error))
	}
	require.NotEmpty(t, processesIn(dir))
	w.kill()
	requireNoneIn(t, dir)
}

// A Ctrl-C reaches the whole foreground group: the owner ends when it is ready to, and its server not
// before it.
func TestInterruptOfTheGroupReachesTheOwnerAlone(t *testing.T) {
	t.Parallel()
	cache, _ := fetched(t)
	dir := openDir(t)
	w := startOwner(t, order{Service: "postgres", Ways: []Way{Fetched}, Cache: cache, Dir: dir}, func(cmd *exec.Cmd) {
		sysProcAttr(cmd).Setpgid = true
		cmd.Env = append(cmd.Env, ignoreInterrupt+"=1")
	})
	require.NoError(t, syscall.Kill(-w.cmd.Process.Pid, syscall.SIGINT))
	require.NoError(t, pingPostgres(t.Context(), w.URL))
	require.NoError(t, w.end())
	require.Empty(t, processesIn(dir))
}

func TestKilledOwnersDirectoryIsSwept(t *testing.T) {
	t.Parallel()
	cache, _ := fetched(t)
	temp := openDir(t)
	require.NoError(t, os.Chmod(temp, 0o1777))
	inTemp := func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "TMPDIR="+temp) }
	o := order{Service: "postgres", Ways: []Way{Fetched}, Cache: cache}
	killed := startOwner(t, o, inTemp)
	living := startOwner(t, o, inTemp)
	left, _ := filepath.Glob(temp + "/*")
	require.Len(t, left, 2)
	killed.kill()
	require.Eventually(t, func() bool { return pingPostgres(t.Context(), killed.URL) != nil }, 20*time.Second, 20*time.Millisecond)

	next := startOwner(t, o, inTemp)
	now, _ := filepath.Glob(temp + "/*")
	require.Len(t, now, 2, "that of the living one and of the next")
	require.NoError(t, living.end())
	require.NoError(t, next.end())
	now, _ = filepath.Glob(temp + "/*")
	require.Empty(t, now)
}

// asNobody makes the command run as an ordinary user if this process is root's.
func asNobody(t *testing.T, dir string) func(*exec.Cmd) {
	t.Helper()
	return func(cmd *exec.Cmd) {
		if os.Geteuid() != 0 {
			return
		}
		nobody, ok := lookupAccount("nobody")
		require.True(t, ok)
		self := filepath.Join(dir, "owner.test") // go test's own folder is closed to others
		binary, err := os.ReadFile(cmd.Path)
		require.NoError(t, err)
		writeProgram(t, self, binary)
		home := filepath.Join(dir, "home")
		require.NoError(t, os.Mkdir(home, 0o700))
		require.NoError(t, nobody.give(home))
		cmd.Path, cmd.Args[0], cmd.Dir = self, self, home
		cmd.Env = append(cmd.Env, "HOME="+home, "XDG_CACHE_HOME=", "TMPDIR="+home) // the machine's may be closed to others
		runAs(cmd, nobody)
	}
}

func TestOrdinaryUserStartsPostgres(t *testing.T) {
	t.Parallel()
	cache, _ := fetched(t)
	w := startOwner(t, order{Service: "postgres", Ways: []Way{Fetched}, Cache: cache}, asNobody(t, openDir(t)))
	require.Empty(t, w.Error)
	require.Equal(t, "1", query(t, w.URL, "SELECT 1::text"))
	require.NoError(t, w.end())
	require.Error(t, pingPostgres(t.Context(), w.URL))
}

func TestOrdinaryUserStartsAzurite(t *testing.T) {
	t.Parallel()
	cache, err := cacheDir("")
	require.NoError(t, err)
	_, err = azuritePackage.fetch(t.Context(), cache, nil)
	need(t, err)
	w := startOwner(t, order{Service: "azurite", Ways: []Way{Fetched}, Cache: cache}, asNobody(t, openDir(t)))
	require.Empty(t, w.Error)
	res, err := http.Get(w.URL)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.NoError(t, w.end())
}

// Root's Postgres runs as another user, and must not be told to use a place where that cannot go.
func TestRootNeedsAReachableDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: any directory of this user's will do")
		return
	}
	cache, _ := fetched(t)
	closed := t.TempDir()
	require.NoError(t, os.Chmod(closed, 0o700))
	_, err := StartPostgres(t.Context(), &PostgresOptions{Ways: []Way{Fetched}, CacheDir: cache, Dir: filepath.Join(closed, "pg")})
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, "has mode -rwx------")

	t.Setenv("TMPDIR", closed)
	p := start(t, PostgresOptions{Ways: []Way{Fetched}, CacheDir: cache, Fast: true})
	require.Equal(t, "1", query(t, p.URL, "SELECT 1::text"), "started in another temporary directory")
}
