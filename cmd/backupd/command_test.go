package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runs runs backupd to its end.
func runs(t testing.TB, env []string, args ...string) (status int, out, err string) {
	t.Helper()
	p := start(t, env, args...)
	status = p.wait()
	return status, p.out.String(), p.err.String()
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	s := setup(t, 1, "")
	env := []string{"DATABASE_URL=" + s.database, "BACKUPD_LOG_LEVEL=error"} // it needs no more

	status, out, _ := runs(t, env, "migrate", "status")
	require.Zero(t, status)
	require.Contains(t, out, "missing")
	status, out, _ = runs(t, env, "migrate", "up")
	require.Zero(t, status)
	require.Contains(t, out, "applied backup 1 (initial)\n")
	status, out, _ = runs(t, env, "migrate", "up")
	require.Zero(t, status)
	require.Equal(t, "nothing to do\n", out)
	_, out, _ = runs(t, env, "migrate", "status")
	require.NotContains(t, out, "missing")
	require.Regexp(t, `backup +1 +initial +applied 20`, out)

	status, _, err := runs(t, env, "migrate", "down")
	require.Equal(t, 2, status)
	require.Contains(t, err, "say --yes")
	for refused, flags := range map[string][]string{
		"--steps must be at least 1, not 0":    {"--steps", "0"},
		"--steps must be at least 1, not -1":   {"--steps=-1"},
		"--steps and --all exclude each other": {"--steps", "1", "--all"},
		"--river goes with --all only":         {"--river"},
	} {
		status, out, err = runs(t, env, append([]string{"migrate", "down", "--yes"}, flags...)...)
		require.Equal(t, 2, status)
		require.Equal(t, "backupd: "+refused+"\n", err)
		require.Empty(t, out)
	}
	_, out, _ = runs(t, env, "migrate", "status")
	require.NotContains(t, out, "missing")
	status, out, _ = runs(t, env, "migrate", "down", "--steps", "1", "--yes")
	require.Zero(t, status)
	require.Len(t, lines(out), 1)
	status, out, _ = runs(t, env, "migrate", "down", "--all", "--river", "--yes")
	require.Zero(t, status)
	require.Contains(t, out, "reverted backup 1 (initial)\n")
	require.Contains(t, out, "reverted river 1")
	status, out, _ = runs(t, env, "migrate", "down", "--yes")
	require.Zero(t, status)
	require.Equal(t, "nothing to do\n", out)

	status, _, err = runs(t, []string{"DATABASE_URL="}, "migrate", "up")
	require.Equal(t, 1, status)
	require.Contains(t, err, "no database is configured")
}

func TestMigrateDump(t *testing.T) {
	t.Parallel()
	for direction, want := range map[string]string{"up": "CREATE TABLE other.backup ", "down": "DROP TABLE "} {
		status, out, _ := runs(t, nil, "migrate", "dump", direction, "--schema", "other")
		require.Zero(t, status)
		require.Contains(t, strings.ReplaceAll(out, `"`, ""), want)
	}
	status, _, err := runs(t, nil, "migrate", "dump", "--schema", "Bad")
	require.Equal(t, 1, status)
	require.Equal(t, "backupd: --schema: must be 1 to 40 lower-case letters, digits and underscores, not beginning with a digit or with pg_: \"Bad\"\n", err)
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	s := setup(t, 1, "")
	status, out, err := runs(t, s.env(), "config", "check")
	require.Zero(t, status, err)
	require.Equal(t, fmt.Sprintf("destination file://%s: can be written to\n"+
		"database: reachable; database is not migrated: schema \"backup\" lacks migrations river 1, 2, 3, 4, 5, 6, 7, 8 and backup 1, 2, 3, 4, 5, 6, 7, 8: run \"backupd migrate up\"\n", s.dir), out)
	require.Empty(t, err)
}

// All that is wrong is said at once, each with its place.
func TestConfigCheckSaysEverything(t *testing.T) {
	t.Parallel()
	path := writeFile(t, `destination:
  file: {path: /there/is/none}
database:
  wait: 1s
server:
  listen: 0.0.0.0:3000
providers:
  - name: Site
    url: ftp://example.com
    maxAttempts: 1000
    stallTimeout: 2h
    headers: {Range: bytes=1-}
  - name: db
    url: https://example.com/{tenant}
    contentType: tar
workers:
  concurrency: 100
  journalInterval: 1ms
limits:
  maxSkew: 5s
api:
  keyLifetime: 1s
`)
	env := []string{"DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/d", "BACKUPD_CONFIG=" + path}
	status, out, err := runs(t, env, "config", "check")
	require.Equal(t, 1, status)
	require.Empty(t, out)
	require.NotContains(t, err, "hunter2")
	got := lines(strings.ReplaceAll(err, path, "backupd.yaml"))
	want := []string{
		`backupd: backupd.yaml:8: providers[0].name: `,
		`backupd: backupd.yaml:10: providers[0].maxAttempts: must be between 1 and 100`,
		`backupd: backupd.yaml:11: providers[0].stallTimeout: must be between 1 second and 1 hour`,
		`backupd: backupd.yaml:9: providers[0].url: must begin with http:// or https://`,
		`backupd: backupd.yaml:12: providers[0].headers: must not have Range`,
		`backupd: backupd.yaml:14: providers[1].url: must have no placeholders but {userId}, {siteId} and {backupId}`,
		`backupd: backupd.yaml:15: providers[1].contentType[0]: must be a media type such as application/zip, without parameters`,
		`backupd: backupd.yaml:6: server.listen: listen on 0.0.0.0:3000: anybody who reaches this address`,
		`backupd: backupd.yaml:1: destination: open file store: `,
		`backupd: backupd.yaml:3: database.url: connect to the database 127.0.0.1:1/d: not reachable in 1s`,
		`backupd: backupd.yaml:17: workers.concurrency: must be between 1 and 64`,
		`backupd: backupd.yaml:18: workers.journalInterval: must be at least 10 milliseconds`,
		`backupd: backupd.yaml:20: limits.maxSkew: must be at least 1 minute`,
		`backupd: backupd.yaml:22: api.keyLifetime: must be at least 1 minute`,
	}
	for _, line := range want {
		require.True(t, containsPrefix(got, line), "%s\nis not in\n%s", line, err)
	}
	require.Len(t, got, len(want))
}

func containsPrefix(lines []string, prefix string) bool {
	for _, line := range lines {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

func TestConfigPrint(t *testing.T) {
	t.Parallel()
	s := setup(t, 1, "")
	status, out, _ := runs(t, s.env(), "config", "print", "--listen", "localhost:4000")
	require.Zero(t, status)
	require.Contains(t, out, "listen: localhost:4000\n")
	require.Contains(t, out, "url: ${env:DATABASE_URL}\n")
	require.Contains(t, out, "bearer: ${env:SITE_TOKEN}\n")
	require.NotContains(t, out, "hunter2")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	status, out, _ := runs(t, nil, "version")
	require.Zero(t, status)
	require.Regexp(t, `^backupd \S+ \(go`, out)
}
