package main_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

// demoDir is where a demo under test keeps all that it keeps. Any user can get
// to it: root runs Postgres as another one.
func demoDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "backupd-demo-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// requireNothingLeft looks for files and processes of a demo.
func requireNothingLeft(t testing.TB, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
	if runtime.GOOS != "linux" {
		return
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, name := range commands {
		command, _ := os.ReadFile(name) // the process may have ended
		require.NotContains(t, string(command), dir)
	}
}

// startDemo starts a demo with a Postgres of its own.
func startDemo(t testing.TB, args ...string) (p *process, dir string) {
	t.Helper()
	dir = demoDir(t)
	return start(t, []string{"TMPDIR=" + dir}, append([]string{"demo", "--size", "3MiB", "--listen", "localhost:0"}, args...)...), dir
}

// needsPostgres skips the test, or fails it if skips are forbidden, where the
// demo couldn't have one.
func needsPostgres(t testing.TB, p *process) {
	t.Helper()
	if strings.Contains(p.err.String(), "no way to have it here") && os.Getenv("BACKUP_TEST_NO_SKIP") != "1" {
		t.Skip(p.err.String())
	}
}

func TestDemoOnce(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"directory": nil, "Azurite": {"--azurite"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, dir := startDemo(t, append(args, "--once")...)
			status := p.wait()
			needsPostgres(t, p)
			require.Zero(t, status)
			for _, want := range []string{
				`(?m)^site +done +100 %  3.0 MiB of 3.0 MiB$`, `(?m)^  db    3.0 MiB in 1 parts: each part's CRC64`,
				`"proof": "length"`, `(?m)^River UI     http://localhost:\d+/riverui/$`, `(?m)^curl --location 'http://localhost:\d+/backup/[0-9a-f-]{36}'$`,
				`(?m)^All is well`,
			} {
				require.Regexp(t, want, p.out.String())
			}
			require.Empty(t, p.err.String())
			requireNothingLeft(t, dir)
		})
	}
}

// In a database that was given the demo has a schema of its own, and takes it
// away again.
func TestDemoInAGivenDatabase(t *testing.T) {
	t.Parallel()
	database, dir, objects := envtest.EmptyDatabase(t), demoDir(t), t.TempDir()
	p := start(t, []string{"TMPDIR=" + dir, "DATABASE_URL=" + database}, "demo", "--once", "--size", "1MiB", "--listen", "localhost:0", "--dir", objects)
	require.Zero(t, p.wait())
	password, ok := strings.CutPrefix(regexp.MustCompile(`//[^:@]*:[^@]*@`).FindString(database), "//")
	require.True(t, ok)
	require.NotContains(t, p.out.String(), password)
	requireNothingLeft(t, dir)

	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	var schemas int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'backup%'`).Scan(&schemas))
	require.Zero(t, schemas)

	kept, err := filepath.Glob(filepath.Join(objects, userID, siteID, "*", "manifest.json"))
	require.NoError(t, err)
	require.Len(t, kept, 1, "--dir keeps what is stored")
}

// Ctrl-C ends a demo in order wherever it is.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for name, moment := range map[string]struct {
		at     string
		status int
	}{
		"before Postgres is there": {`Postgres     starting`, 1},
		"after it":                 {`Export APIs`, 1},
		"as the server starts":     {`API          http`, 1},
		"in the transfer":          {`(site|db) +running`, 1},
		"in the check":             {`Reading every byte`, 1},
		"at the end":               {`Ctrl-C ends this`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, dir := startDemo(t, "--size", "64MiB")
			if name == "before Postgres is there" {
				p.out.await(p, regexp.MustCompile(moment.at))
				<-time.After(100 * time.Millisecond) // anywhere in its start will do
			} else {
				awaitOrSkip(t, p, moment.at)
			}
			p.signal(syscall.SIGINT)
			status := p.wait()
			needsPostgres(t, p)
			if status != moment.status && !strings.Contains(p.out.String(), "Ctrl-C ends this") {
				t.Fatalf("status %d, want %d", status, moment.status)
			}
			requireNothingLeft(t, dir)
		})
	}
}

func awaitOrSkip(t testing.TB, p *process, re string) {
	t.Helper()
	go func() {
		<-p.done
		_, _ = p.out.Write([]byte("ended"))
	}()
	p.out.await(p, regexp.MustCompile(re+"|ended"))
	needsPostgres(t, p)
}

func TestDemoTakesAnotherPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:3000")
	if err == nil { // else somebody else has it, which does as well
		t.Cleanup(func() { _ = taken.Close() })
	}
	env := []string{"TMPDIR=" + demoDir(t), "DATABASE_URL=" + envtest.EmptyDatabase(t)}
	p := start(t, env, "demo", "--once", "--size", "1KiB")
	require.Zero(t, p.wait())
	require.Contains(t, p.out.String(), "Port 3000 is taken: this takes another one; --listen chooses it.")

	p = start(t, env, "demo", "--once", "--size", "1KiB", "--listen", "127.0.0.1:3000")
	require.Equal(t, 1, p.wait())
	require.Equal(t, "backupd: listen on 127.0.0.1:3000: bind: address already in use\n", p.err.String())
}
