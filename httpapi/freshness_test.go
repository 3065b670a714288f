package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

type fresh struct {
	Status      string
	Overdue     *int
	Stale       *int
	LastSuccess map[string]time.Time
}

func scheduleForTest(t *testing.T, b *bundle) {
	t.Helper()
	_, err := b.client.PutSchedule(t.Context(), backup.ScheduleParams{UserID: "u", SiteID: "s", Cron: "@yearly", MaxAge: time.Hour})
	require.NoError(t, err)
}

// Nobody ticks here: what is in the tables is enough.
func TestFreshnessProbe(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "reader", Scopes: httpapi.ScopeRead},
		httpapi.Token{Name: "tenant", Scopes: httpapi.ScopeRead, Users: []string{"u"}})
	t.Run("fresh", func(t *testing.T) {
		t.Parallel()
		b := setup(t, settings{options: options})
		scheduleForTest(t, b)
		a := b.get(t, "/freshness")
		require.Equal(t, 200, a.StatusCode)
		require.JSONEq(t, `{"status":"ok"}`, string(a.body), "no more without a credential")
		b.exec(t, `UPDATE {{schema}}.backup_schedule SET updated_at = now() - interval '1 hour', next_run_at = now() - interval '1 hour'`, pgx.NamedArgs{})
		require.Equal(t, 200, b.get(t, "/freshness").StatusCode, "it stands for a while")
		require.NotContains(t, b.log.String(), "level=INFO msg=request")
	})
	t.Run("stale", func(t *testing.T) {
		t.Parallel()
		b := setup(t, settings{options: options})
		scheduleForTest(t, b)
		b.exec(t, `UPDATE {{schema}}.backup_schedule SET updated_at = now() - interval '1 hour', next_run_at = now() - interval '1 hour', created_at = now() - interval '2 hours', stale_at = now() - interval '1 second'`, pgx.NamedArgs{})
		for _, credential := range []string{"", secrets["tenant"], "unknown"} {
			a := b.get(t, "/freshness")
			if credential != "" {
				a = b.as(credential).get(t, "/freshness")
			}
			require.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
			require.JSONEq(t, `{"status":"not ok"}`, string(a.body))
		}
		got := decode[fresh](t, b.as(secrets["reader"]).get(t, "/freshness"))
		require.Equal(t, 1, *got.Overdue)
		require.Equal(t, 1, *got.Stale)
		require.Contains(t, b.log.String(), "backups are not fresh")
	})
	t.Run("no database", func(t *testing.T) {
		t.Parallel()
		b := setup(t, settings{pool: unreachable(t)})
		a := b.get(t, "/freshness")
		require.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
		require.JSONEq(t, `{"status":"not ok"}`, string(a.body))
		require.NotContains(t, string(a.body)+b.log.String(), "hunter2")
	})
}

func TestFreshnessMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	scheduleForTest(t, b)
	b.exec(t, `UPDATE {{schema}}.backup_schedule SET updated_at = now() - interval '1 hour', next_run_at = now() - interval '1 hour', paused_at = now()`, pgx.NamedArgs{})
	b.exec(t, `INSERT INTO {{schema}}.backup (id, user_id, site_id, state, created_at, finished_at, manifest, manifest_key)
		VALUES ('00000000-0000-0000-0000-000000000001', 'u', 's', 'done', '2026-01-01', '2026-01-01', '', 'm')`, pgx.NamedArgs{})
	b.exec(t, `INSERT INTO {{schema}}.backup_task (id, backup_id, provider, upload_id, object_key) SELECT id, id, 'db', id, 'o' FROM {{schema}}.backup`, pgx.NamedArgs{})
	text := string(b.get(t, "/metrics").body)
	for _, line := range []string{
		`backup_schedules{state="fresh"} 1`, `backup_schedules{state="alerting"} 0`, `backup_schedules{state="paused"} 1`,
		`backup_schedules_overdue 1`, `backup_last_success_timestamp_seconds{provider="db"} 1.7672256e+09`,
	} {
		require.Contains(t, text, line+"\n")
	}
}

// A backup that is too old is no fault of the scheduler's, which is asked about by itself.
func TestFreshnessOfTheScheduler(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil     string
		scheduler int
	}{
		"alert":   {`alert_at = now(), stale_at = now()`, 200},
		"overdue": {`updated_at = now() - interval '1 hour', next_run_at = now() - interval '1 hour'`, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, settings{})
			scheduleForTest(t, b)
			b.exec(t, `UPDATE {{schema}}.backup_schedule SET `+c.spoil, pgx.NamedArgs{})
			require.Equal(t, 503, b.get(t, "/freshness").StatusCode)
			require.Equal(t, c.scheduler, b.get(t, "/freshness?only=scheduler").StatusCode)
			requireProblem(t, b.get(t, "/freshness?only=tick"), 422, httpapi.CodeValidationFailed)
		})
	}
}
