package main_test

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
)

var probesRE = regexp.MustCompile(`(?m)msg=ready .*probes=(\S+)`)

// read returns the answer's status and body.
func read(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// A process that only makes backups can be watched, too.
func TestServeProbes(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<20, "")
	api := start(t, s.env(), "serve", "--no-workers", "--migrate", "--listen", "localhost:0")
	url := api.ready()
	worker := start(t, s.env(), "serve", "--no-api", "--probe-listen", "localhost:0")
	probes := "http://" + worker.err.await(worker, probesRE)[1]

	status, body := read(t, probes+"/healthz")
	require.Equal(t, 200, status, body)
	status, body = read(t, probes+"/readyz")
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"store":"ok"`)
	require.Contains(t, body, `"database":"ok"`)
	status, _ = read(t, probes+"/backup")
	require.Equal(t, 404, status, "it is no API")

	requireStored(t, s, awaitBackup(t, url, startBackup(t, url).ID))
	want := []string{
		`sitebackup_worker_attempts_total{outcome="done",provider="site"} 1`,
		`sitebackup_worker_attempts_total{outcome="failed",provider="site"} 0`,
		`sitebackup_worker_stored_bytes_total{provider="db"} 1.048576e+06`,
		`sitebackup_worker_running_tasks{provider="site"} 0`,
		`sitebackup_worker_leases_lost_total 0`,
		`sitebackup_worker_buffer_bytes 0`, `sitebackup_worker_buffer_limit_bytes 2.68435456e+08`,
		`sitebackup_build_info{goversion="go`,
	}
	poll(t, "the counts of the attempts", func() bool {
		_, body = read(t, probes+"/metrics")
		return bytes.Contains([]byte(body), []byte(want[0])) && bytes.Contains([]byte(body), []byte(want[3]))
	})
	for _, line := range want {
		require.Contains(t, body, "\n"+line)
	}
	problems, err := promlint.New(bytes.NewReader([]byte(body))).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)

	// The API's process has no workers, and counts over all backups.
	_, body = read(t, url+"/metrics")
	require.NotContains(t, body, "sitebackup_worker_")
	require.Contains(t, body, "\nsitebackup_oldest_open_backup_age_seconds 0\n")
	require.Contains(t, body, "\nsitebackup_build_info{")

	worker.signal(syscall.SIGTERM)
	require.Zero(t, worker.wait())
}

// A process that does both shows both.
func TestServeMetricsOfWorkers(t *testing.T) {
	t.Parallel()
	s := setup(t, 1, "")
	url := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0").ready()
	status, body := read(t, url+"/metrics")
	require.Equal(t, 200, status)
	require.Contains(t, body, "\nsitebackup_worker_attempts_total{")
}
