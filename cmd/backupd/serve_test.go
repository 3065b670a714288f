package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/httpapi"
)

const (
	userID = "658683afc91423af04d82152"
	siteID = "658683afc91423af04d82153"
)

// The two commands of the README, but for the port.
const (
	startCommand = `curl --location 'http://localhost:3000/backup' \
--header 'Content-Type: application/json' \
--data '{
    "userId": "658683afc91423af04d82152",
    "siteId": "658683afc91423af04d82153"
}'`
	getCommand = `curl --location 'http://localhost:3000/backup/%s'`
)

// curl runs a command in a shell, against the server at url.
func curl(t testing.TB, url, command string) httpapi.Backup {
	t.Helper()
	command = strings.ReplaceAll(command, "http://localhost:3000", url)
	out, err := exec.Command("sh", "-c", command).Output()
	require.NoError(t, err)
	var b httpapi.Backup
	require.NoError(t, json.Unmarshal(out, &b), "%s", out)
	return b
}

func startBackup(t testing.TB, url string) httpapi.Backup {
	t.Helper()
	res, err := http.Post(url+"/backup", "application/json", strings.NewReader(`{"userId":"`+userID+`","siteId":"`+siteID+`"}`))
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	var b httpapi.Backup
	require.NoError(t, json.NewDecoder(res.Body).Decode(&b))
	return b
}

// get returns the status and, if that is 200, the backup.
func get(t testing.TB, url string) (b httpapi.Backup, res *http.Response) {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusOK {
		require.NoError(t, json.NewDecoder(res.Body).Decode(&b))
	}
	return b, res
}

// awaitBackup waits for the end of a backup.
func awaitBackup(t testing.TB, url, id string) (b httpapi.Backup) {
	t.Helper()
	poll(t, "the end of the backup", func() bool {
		b, _ = get(t, url+"/backup/"+id)
		return b.FinishedAt != nil
	})
	return b
}

// requireStored compares the objects with what the sources hold.
func requireStored(t testing.TB, s *site, b httpapi.Backup) {
	t.Helper()
	require.Equal(t, "done", b.Status, "%+v", b)
	require.FileExists(t, filepath.Join(s.dir, filepath.FromSlash(b.ManifestKey)))
	require.Len(t, b.Tasks, 2)
	for _, task := range b.Tasks {
		want := export.SHA256(s.exports[task.Provider], userID, siteID)
		require.Equal(t, hex.EncodeToString(want[:]), task.SHA256)
		objects, err := filepath.Glob(filepath.Join(s.dir, userID, siteID, b.ID, task.Provider, "*"))
		require.NoError(t, err)
		require.Len(t, objects, 1)
		data, err := os.ReadFile(objects[0])
		require.NoError(t, err)
		require.Equal(t, want, sha256.Sum256(data))
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	s := setup(t, 3<<20, "")
	p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	url := p.ready()
	require.Regexp(t, `^http://localhost:\d+$`, url)

	started := curl(t, url, startCommand)
	require.Equal(t, "pending", started.Status)
	awaitBackup(t, url, started.ID)
	b := curl(t, url, fmt.Sprintf(getCommand, started.ID))
	requireStored(t, s, b)
	require.Equal(t, int64(6<<20), *b.Progress.TotalBytes)

	for path, contentType := range map[string]string{
		"/openapi.json": "application/json", "/healthz": "application/json", "/readyz": "application/json",
		"/riverui/": "text/html", "/riverui/api/states": "application/json", "/riverui/jobs/1": "text/html",
	} {
		res, err := http.Get(url + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, path)
		require.Contains(t, res.Header.Get("Content-Type"), contentType, path)
	}

	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())
	require.NotContains(t, p.err.String(), "hunter2")
	require.NotContains(t, p.err.String(), "level=ERROR")
	require.Empty(t, p.out.String())
}

// River UI changes jobs, and the API starts work, for whoever can send a request
// from this machine: a web page of another site must not be able to.
func TestServeRefusesOtherSites(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<10, "")
	p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	url := p.ready()
	send := func(path, host string, header ...string) int {
		req, err := http.NewRequest(http.MethodPost, url+path, strings.NewReader(`{"ids":["1"]}`))
		require.NoError(t, err)
		req.Host = host
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	const cancel = "/riverui/api/jobs/cancel"
	require.NotEqual(t, http.StatusForbidden, send(cancel, ""))
	require.Equal(t, http.StatusForbidden, send(cancel, "", "Sec-Fetch-Site", "cross-site"))
	require.Equal(t, http.StatusForbidden, send(cancel, "", "Origin", "https://evil.example.com"))
	require.Equal(t, http.StatusMisdirectedRequest, send(cancel, "evil.example.com"))
	require.Equal(t, http.StatusMisdirectedRequest, send("/backup", "evil.example.com:3000"))
	require.Equal(t, http.StatusUnprocessableEntity, send("/backup", "127.0.0.1:1234"))
}

func TestServeInTwoProcesses(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<20, "")
	// The API needs none of the providers' secrets, and serves downloads.
	api := start(t, s.env()[:2], "serve", "--no-workers", "--migrate", "--listen", "localhost:0")
	url := api.ready()
	started := startBackup(t, url)

	worker := start(t, s.env(), "serve", "--no-api")
	require.Empty(t, worker.ready())
	requireStored(t, s, awaitBackup(t, url, started.ID))
	status, out, stderr := runs(t, []string{"BACKUPD_SERVER=" + url}, "backup", "download", started.ID, filepath.Join(t.TempDir(), "copy"))
	require.Zero(t, status, stderr)
	require.Contains(t, out, "is whole in ")
	for _, p := range []*process{worker, api} {
		p.signal(syscall.SIGINT)
		require.Zero(t, p.wait())
	}
}

// Without what it takes to open the destination the API asks for backups all the same,
// and says that it serves no downloads.
func TestServeWithoutDestination(t *testing.T) {
	t.Parallel()
	s := setup(t, 1, "")
	providers := "providers: [{name: site, url: 'http://localhost/{siteId}'}]\n"
	for name, test := range map[string]struct{ destination, reason string }{
		"variable": {"azure: {container: c, connectionString: '${env:STORAGE}'}", `level=INFO msg="without a destination: [^"]+" reason="an environment variable of the destination is not set"`},
		"file":     {"file: {path: /there/is/none, create: true}", `level=WARN msg="without a destination: [^"]+" reason="open file store: .*/there/is/none`},
	} {
		config := writeFile(t, "destination: {"+test.destination+"}\n"+providers)
		p := start(t, append(s.env(), "BACKUPD_CONFIG="+config), "serve", "--no-workers", "--migrate", "--listen", "localhost:0")
		url := p.ready()
		require.Regexp(t, test.reason, p.err.String(), name)
		require.Equal(t, "pending", startBackup(t, url).Status)
		_, res := get(t, url+"/readyz")
		require.Equal(t, 200, res.StatusCode)
	}
}

func TestServeDoesNotStart(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<10, "database: {wait: 1s}\n")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	unwritable := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(unwritable, nil, 0o600))
	providers := "providers: [{name: site, url: 'http://localhost/{siteId}'}]\n"
	gone := writeFile(t, "destination: {file: {path: /there/is/none}}\n"+providers)
	azure := writeFile(t, "destination: {azure: {container: c, connectionString: '${env:STORAGE}'}}\n"+providers)
	file := writeFile(t, fmt.Sprintf("destination: {file: {path: %q}}\n", unwritable)+providers)

	tests := map[string]struct {
		env    []string
		args   []string
		status int
		want   string // one line, a regular expression
	}{
		"not migrated":              {nil, nil, 1, `^backupd: database is not migrated: schema "backup" lacks migrations .*: run "backupd migrate up"$`},
		"no destination":            {[]string{"BACKUPD_CONFIG=" + gone}, nil, 1, `^backupd: open file store: .*/there/is/none`},
		"destination is a file":     {[]string{"BACKUPD_CONFIG=" + file}, nil, 1, `^backupd: open file store: .*/file`},
		"destination unreadable":    {[]string{"BACKUPD_CONFIG=" + azure, "STORAGE=AccountKey=hunter2"}, nil, 1, `^backupd: open Azure container "c": connectionString \$\{env:STORAGE\} can't be used`},
		"destination not there":     {[]string{"BACKUPD_CONFIG=" + azure, "STORAGE=DefaultEndpointsProtocol=http;AccountName=a;AccountKey=aHVudGVyMg==;BlobEndpoint=http://127.0.0.1:1/a"}, nil, 1, `^backupd: use the destination: check http://127.0.0.1:1/a/c: .*`},
		"database unreachable":      {[]string{"DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/d"}, nil, 1, `^backupd: connect to the database 127.0.0.1:1/d: not reachable in 1s, with \d+ tries: .*connection refused`},
		"database refuses":          {[]string{"DATABASE_URL=" + strings.Replace(s.database, "//backup:", "//nobody:hunter2", 1)}, nil, 1, `^backupd: connect to the database [\w.]+:\d+/\w+: [^ ]+ \(.*FATAL: `},
		"no such database":          {[]string{"DATABASE_URL=" + strings.Replace(s.database, "/testdb", "/other", 1)}, nil, 1, `^backupd: connect to the database .*does not exist`},
		"no database":               {[]string{"DATABASE_URL="}, nil, 1, `^backupd: no database is configured: set the environment variable DATABASE_URL, or database.url`},
		"not a database URL":        {[]string{"DATABASE_URL=postgres://u:hunter2@h:port/d"}, nil, 1, `^backupd: parse the database's URL from \$\{env:DATABASE_URL\}: must|^backupd: parse the database's URL from`},
		"address taken":             {nil, []string{"--listen", taken.Addr().String()}, 1, `^backupd: listen on 127.0.0.1:\d+: .*address already in use$`},
		"address for all":           {nil, []string{"--listen", ":3000"}, 1, `^backupd: listen on :3000: anybody who reaches this address could use the API`},
		"address for all, too":      {[]string{"BACKUPD_LISTEN=0.0.0.0:3000"}, nil, 1, `^backupd: listen on 0.0.0.0:3000: anybody`},
		"not an address for probes": {nil, []string{"--no-api", "--probe-listen", "9090"}, 1, `^backupd: --probe-listen: must be an address such as :9090`},
		"probes' address taken":     {nil, []string{"--no-api", "--probe-listen", taken.Addr().String()}, 1, `^backupd: listen on 127.0.0.1:\d+ for probes: .*address already in use$`},
		"not an address":            {nil, []string{"--listen", "3000"}, 1, `^backupd: --listen: must be an address such as localhost:3000`},
		"no configuration":          {[]string{"BACKUPD_CONFIG="}, nil, 1, `^backupd: there is no backupd.yaml here: say with --config or BACKUPD_CONFIG where`},
		"no such configuration":     {nil, []string{"--config", "none.yaml"}, 1, `^backupd: there is no file .*none.yaml`},
		"a secret missing":          {[]string{"SITE_TOKEN="}, nil, 1, `^backupd: .*:7: providers\[0\].auth.bearer: the environment variable SITE_TOKEN is not set$`},
		"nothing to do":             {nil, []string{"--no-api", "--no-workers"}, 2, `^backupd: --no-workers and --no-api together leave nothing to do$`},
		"unknown flag":              {nil, []string{"--nope"}, 2, `^backupd: unknown flag --nope`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append(append(s.env(), "BACKUPD_LISTEN=localhost:0"), test.env...), append([]string{"serve", "--log-level", "error"}, test.args...)...)
			require.Equal(t, test.status, p.wait())
			require.NotContains(t, p.err.String(), "hunter2")
			require.NotContains(t, p.err.String(), "aHVudGVyMg")
			require.Len(t, lines(p.err.String()), 1, "%s", p.err.String())
			require.Regexp(t, test.want, lines(p.err.String())[0])
		})
	}
}

func TestServeOnAnyAddressIfToldSo(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<10, "")
	p := start(t, s.env(), "serve", "--migrate", "--listen", "0.0.0.0:0", "--insecure-listen")
	p.ready()
	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())
}

// A signal during the start, here while it waits for the database, ends it in
// order, too.
func TestServeStoppedAtTheStart(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<10, "")
	p := start(t, append(s.env(), "DATABASE_URL=postgres://u@127.0.0.1:1/d"), "serve", "--listen", "localhost:0")
	p.err.await(p, notYetRE)
	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())
}

// A running task hands over when the process is told to end, and goes on in the
// next one behind its journal.
func TestServeHandsOver(t *testing.T) {
	t.Parallel()
	s := setup(t, 8<<20, "workers: {partSize: 64KiB, journalInterval: 100ms}\n", export.Fault{Rate: 4 << 20, Times: 1})
	p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	started := startBackup(t, p.ready())
	url := p.ready()
	poll(t, "a journaled part", func() bool {
		b, _ := get(t, url+"/backup/"+started.ID)
		return b.Progress.StoredBytes > 0
	})
	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())

	conn, err := pgx.Connect(t.Context(), s.database)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	var held int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM backup.backup_task WHERE lease_token IS NOT NULL`).Scan(&held))
	require.Zero(t, held, "what another process has to wait for")

	p = start(t, s.env(), "serve", "--listen", "localhost:0")
	b := awaitBackup(t, p.ready(), started.ID)
	requireStored(t, s, b)
	for _, task := range b.Tasks {
		require.Equal(t, 1, task.Attempt, "a stop is no failure")
	}
	served := s.apis["site"].Stats().Bytes
	require.Less(t, served, int64(15<<20), "it went on behind the journal")
}

// Whoever can't wait for the order of the end signals again.
func TestServeEndsAtOnceOnASecondSignal(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<10, "")
	p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.ready(), "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	// A request that isn't whole holds up the end.
	_, err = conn.Write([]byte("POST /backup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"))
	require.NoError(t, err)
	_, _ = get(t, p.ready()+"/healthz") // by now it has read the first one, too
	p.signal(syscall.SIGTERM)
	p.err.await(p, regexp.MustCompile("msg=stopping"))
	p.signal(syscall.SIGTERM)
	require.Equal(t, 130, p.wait())
}
