package httpapi_test

import (
	"bytes"
	"net/http"
	"regexp"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{options: httpapi.Options{Handlers: map[string]http.Handler{"/ui/": http.NotFoundHandler()}}})
	location := b.post(t, start).Header.Get("Location")
	for range 3 {
		require.Equal(t, 200, b.get(t, location).StatusCode)
	}
	for _, path := range []string{"/backup/" + unused, "/nothing", "/healthz", "/docs", "/openapi.json", "/ui/x?y"} {
		b.get(t, path)
	}
	b.exec(t, `INSERT INTO {{schema}}.river_job (kind, args, queue, max_attempts, state) VALUES ('backup_task_db', '{}', 'backup_task_db', 1, 'retryable')`, pgx.NamedArgs{})

	a := b.get(t, "/metrics")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Contains(t, a.Header.Get("Content-Type"), "text/plain; version=0.0.4")
	text := string(a.body)
	for _, line := range []string{
		`sitebackup_http_request_duration_seconds_count{operation="startBackup",status="202"} 1`,
		`sitebackup_http_request_duration_seconds_count{operation="getBackup",status="200"} 3`,
		`sitebackup_http_request_duration_seconds_count{operation="getBackup",status="404"} 1`,
		`sitebackup_http_request_duration_seconds_count{operation="other",status="404"} 1`,
		`sitebackup_http_request_duration_seconds_count{operation="health",status="200"} 1`,
		`sitebackup_http_request_duration_seconds_count{operation="docs",status="200"} 1`,
		`sitebackup_http_request_duration_seconds_count{operation="openapi",status="200"} 1`,
		`sitebackup_http_request_duration_seconds_count{operation="/ui/",status="404"} 1`,
		`sitebackup_backups{state="pending"} 1`, `sitebackup_backups{state="done"} 0`, `sitebackup_tasks{state="running"} 0`,
		`sitebackup_stored_bytes 0`, `sitebackup_build_info{goversion="` + runtime.Version() + `",version="1.2.3"} 1`, `sitebackup_stats_up 1`,
		`sitebackup_river_jobs{queue="backup",state="available"} 1`, `sitebackup_river_jobs{queue="backup_task_db",state="retryable"} 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.Regexp(t, `\nsitebackup_oldest_open_backup_age_seconds \d+\.\d+\n`, text)
	require.Contains(t, text, "go_goroutines ")
	require.Contains(t, text, "process_open_fds ")
	require.NotRegexp(t, regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-`), text, "an id is no label")
	problems, err := promlint.New(bytes.NewReader(a.body)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)

	// The count stands for a while, however often it is asked for.
	b.post(t, start)
	require.Contains(t, string(b.get(t, "/metrics").body), `sitebackup_backups{state="pending"} 1`)
}

func TestMetricsAreForSome(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "reader", Scopes: httpapi.ScopeRead}, httpapi.Token{Name: "writer", Scopes: httpapi.ScopeWrite},
		httpapi.Token{Name: "tenant", Scopes: httpapi.ScopeRead, Users: []string{"u"}})
	b := setup(t, settings{options: options})
	requireProblem(t, b.get(t, "/metrics"), 401, httpapi.CodeUnauthenticated)
	requireProblem(t, b.as(secrets["writer"]).get(t, "/metrics"), 403, httpapi.CodeForbidden)
	requireProblem(t, b.as(secrets["tenant"]).get(t, "/metrics"), 403, httpapi.CodeForbidden)
	require.Equal(t, 200, b.as(secrets["reader"]).get(t, "/metrics").StatusCode)
}

// What the process knows by itself is told without the database, too.
func TestMetricsWithoutDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{pool: unreachable(t)})
	a := b.get(t, "/metrics")
	require.Equal(t, 200, a.StatusCode)
	require.Contains(t, string(a.body), "sitebackup_stats_up 0\n")
	require.Contains(t, string(a.body), "go_goroutines ")
	require.NotContains(t, string(a.body), "sitebackup_backups{")
	require.NotContains(t, b.log.String(), "hunter2")
}

// Where there is too much to count in time, the alerts' metrics are there nevertheless.
func TestMetricsWhereCountsFail(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	b.exec(t, `ALTER TABLE {{schema}}.backup_task RENAME COLUMN size TO elsewhere`, nil)
	body := string(b.get(t, "/metrics").body)
	require.Contains(t, body, "sitebackup_stats_up 0\n")
	require.Contains(t, body, "backup_schedules_overdue 0\n")
	require.NotContains(t, body, "sitebackup_backups{")
}
