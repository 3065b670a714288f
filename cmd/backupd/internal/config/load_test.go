package config_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/httpapi"
)

func environment(vars map[string]string) config.Environment {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

var fullEnvironment = environment(map[string]string{
	"BACKUP_DB": "postgres://u:db-hunter2@db/backup", "ACCOUNT_URL": "https://example.blob.core.windows.net", "STORAGE_KEY": "key-hunter2",
	"SITE_TOKEN": "site-hunter2", "DB_PASSWORD": "pw-hunter2", "TENANT": "tenant-hunter2", "MAIL_KEY": "mail-hunter2",
})

func TestLoadFull(t *testing.T) {
	t.Parallel()
	f, problems := config.Load("testdata/full.yaml", fullEnvironment)
	require.Empty(t, problems)
	require.Equal(t, "postgres://u:db-hunter2@db/backup", f.Database.URL.Value())
	require.Equal(t, config.Duration(time.Minute), f.Database.Wait)
	require.Equal(t, "https://example.blob.core.windows.net", f.Destination.Azure.AccountURL)
	require.Equal(t, "key-hunter2", f.Destination.Azure.SharedKey.Value())
	require.Len(t, f.Providers, 3)
	require.Equal(t, config.Size(10<<30), f.Providers[0].MaxSize)
	require.Equal(t, "site-hunter2", f.Providers[0].Auth.Bearer.Value())
	require.Equal(t, config.List{"application/x-tar"}, f.Providers[0].ContentType)
	require.Equal(t, config.List{"application/sql", "application/gzip"}, f.Providers[1].ContentType)
	require.Equal(t, map[string]string{"Want-Repr-Digest": "sha-256=1", "X-Tenant": "tenant-hunter2"}, f.Providers[1].Headers)
	require.Equal(t, "http", f.Providers[2].Type)
	require.Equal(t, config.Size(512<<20), f.Workers.BufferBudget)
	require.Equal(t, config.List{"team-*", "42"}, f.API.Tokens[0].Users)
	require.Equal(t, config.RateLimit{PerSecond: 20, Burst: 40, FailuresPerMinute: 30}, f.API.RateLimit)
	require.Equal(t, config.Streams{Max: 4000, MaxPerCaller: 500}, f.API.Streams)
	require.Equal(t, []config.Duration{config.Duration(48 * time.Hour), config.Duration(12 * time.Hour)}, []config.Duration{f.API.KeyLifetime, f.Limits.MaxSkew})
	failed := retention.Duration(48 * time.Hour)
	require.Equal(t, &retention.Policy{KeepDaily: 7, KeepFailed: &failed}, f.Retention)
	require.Equal(t, []backup.ScheduleParams{{
		UserID: "42", SiteID: "main", Name: "nightly", Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Spread: 30 * time.Minute, CatchUp: backup.CatchUpNone,
		Overlap: backup.OverlapQueue, StartingDeadline: 6 * time.Hour, Paused: true, MaxAge: 26 * time.Hour, Providers: []string{"site", "db"},
		Labels: map[string]string{"plan": "gold"}, ContinueOnFailure: true, MaxSize: 20 << 30, Declared: true,
		Retention: &retention.Policy{
			KeepLast: 3, KeepWithin: retention.Duration(30 * 24 * time.Hour), KeepHourly: 24, KeepDaily: 7, KeepWeekly: 4, KeepMonthly: 12, KeepYearly: 5,
			AtLeast: 2, KeepFailed: new(retention.Duration),
		},
	}}, f.Declared())
	known, err := f.API.Callers()
	require.NoError(t, err)
	caller, err := known.Authorize(&http.Request{Header: http.Header{"Authorization": {"Bearer test"}}})
	require.NoError(t, err)
	require.Equal(t, &httpapi.Caller{
		Name: "ci", Can: httpapi.ScopeRead | httpapi.ScopeWrite, Scope: backup.Scope{Users: []string{"team-*", "42"}},
	}, caller)
}

// What is printed is a file with the same meaning, without the secrets.
func TestPrint(t *testing.T) {
	t.Parallel()
	f, problems := config.Load("testdata/full.yaml", fullEnvironment)
	require.Empty(t, problems)
	var out strings.Builder
	require.NoError(t, f.Print(&out))
	require.NotContains(t, out.String(), "hunter2")
	require.NotContains(t, out.String(), "windows.net", "a reference stays one")

	path := filepath.Join(t.TempDir(), "printed.yaml")
	require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o600))
	again, problems := config.Load(path, fullEnvironment)
	require.Empty(t, problems)
	var second strings.Builder
	require.NoError(t, again.Print(&second))
	require.Equal(t, out.String(), second.String())
}

func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	f, _ := config.Load("testdata/full.yaml", fullEnvironment)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", f.Database.URL, "all", f.Providers[0].Auth)
	for _, s := range []string{log.String(), fmt.Sprint(f), fmt.Sprintf("%+v %#v %s %d", f.Destination, f.Providers, f.Database.URL, f.Database.URL)} {
		require.NotContains(t, s, "db-hunter2")
		require.NotContains(t, s, "site-hunter2")
		require.NotContains(t, s, "key-hunter2")
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	f, problems := config.Load("", environment(map[string]string{"DATABASE_URL": "postgres://u:p@h/d"}),
		config.Override{Path: "server.listen", Flag: "--listen", Value: "127.0.0.1:4000"})
	require.Equal(t, "destination: must have file or azure\nproviders: must have at least one", problems.Error())
	require.Empty(t, problems.Of("database", "server", "log"))
	require.Equal(t, "postgres://u:p@h/d", f.Database.URL.Value())
	require.Equal(t, "${env:DATABASE_URL}", f.Database.URL.String())
	require.Equal(t, "backup", f.Database.Schema)
	require.Equal(t, "127.0.0.1:4000", f.Server.Listen)
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	_, problems := config.Load("testdata/none.yaml", environment(nil))
	require.EqualError(t, problems, "there is no file testdata/none.yaml: say where it is with --config or BACKUPD_CONFIG")
}

func TestValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Size{
		"8MiB": 8 << 20, "10GiB": 10 << 30, "1.5KiB": 1536, "500MB": 500e6, "4096": 4096, "64 KiB": 64 << 10,
	} {
		f, problems := config.Load("", environment(nil), config.Override{Path: "workers.partSize", Value: text})
		require.Empty(t, problems.Of("workers"), text)
		require.Equal(t, want, f.Workers.PartSize, text)
	}
	require.Equal(t, "8MiB", config.Size(8<<20).String())
	require.Equal(t, "1000B", config.Size(1000).String()+"B")
	require.Equal(t, "0", config.Size(0).String())
}
