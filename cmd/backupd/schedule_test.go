package main_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

// A schedule's life by the command line alone, against a server that wants a token.
func TestScheduleCommands(t *testing.T) {
	t.Parallel()
	token, other := httpapi.NewToken(), httpapi.NewToken()
	s := setup(t, 1000, "api:\n  tokens:\n    - {name: n, sha256: "+httpapi.HashToken(token)+", scopes: [read, write], users: [u]}\n"+
		"    - {name: o, sha256: "+httpapi.HashToken(other)+", scopes: [read], users: [o]}\nretention: {keepLast: 1}\n")
	url := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0").ready()
	with := func(token string) []string { return []string{"BACKUPD_SERVER=" + url, "BACKUPD_TOKEN=" + token} }
	env := with(token)
	put := func(more ...string) client.Schedule {
		return asked[client.Schedule](t, env, 0, append([]string{"schedule", "put", "--user", "u", "--site", "s", "--name", "nightly"}, more...)...)
	}

	made := put("--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--spread", "30min", "--overlap", "queue", "--max-age", "26h", "--provider", "db",
		"--label", "plan=gold;silver=1", "--keep-last", "7", "--keep-failed", "0s", "--size-limit", "1GiB")
	require.Equal(t, "Europe/Berlin", *made.TimeZone)
	require.Equal(t, "1d2h", *made.MaxAge)
	require.Equal(t, int64(7), *made.Retention.KeepLast)
	require.Equal(t, "0s", *made.Retention.KeepFailed)
	require.Equal(t, map[string]string{"plan": "gold;silver=1"}, made.Labels)
	require.Equal(t, int64(1<<30), *made.SizeLimit)
	now := put("--cron", "@daily", "--provider", "db")
	require.Equal(t, made.ID, now.ID)
	require.Equal(t, client.ScheduleOverlapSkip, *now.Overlap)
	require.Nil(t, now.Retention)
	id := now.ID.String()
	for _, site := range []string{"a", "b"} {
		asked[client.Schedule](t, env, 0, "schedule", "put", "--user", "u", "--site", site, "--cron", "@hourly", "--paused")
	}
	require.Len(t, asked[[]client.Schedule](t, env, 0, "schedule", "list"), 3)
	require.Len(t, asked[[]client.Schedule](t, env, 0, "schedule", "list", "--limit", "2"), 2)
	require.Equal(t, now.ID, asked[[]client.Schedule](t, env, 0, "schedule", "list", "--user", "u", "--site", "s", "--name", "nightly")[0].ID)
	require.Empty(t, asked[[]client.Schedule](t, env, 0, "schedule", "list", "--alert"))
	require.Equal(t, now, asked[client.Schedule](t, env, 0, "schedule", "show", id))
	require.Len(t, asked[[]client.UpcomingSlot](t, env, 0, "schedule", "next", id, "--count", "3"), 3)
	require.Empty(t, asked[[]client.ScheduleSlot](t, env, 0, "schedule", "runs", id))

	b := asked[client.Backup](t, env, 0, "schedule", "run", id, "--key", "k", "--watch")
	require.Equal(t, client.BackupStatusDone, b.Status)
	require.Len(t, b.Tasks, 1)
	require.Equal(t, b.ID, asked[client.Backup](t, env, 0, "schedule", "run", id, "--key", "k").ID)
	require.Equal(t, b.ID, asked[[]client.BackupSummary](t, env, 0, "backup", "list", "--schedule", id)[0].ID)
	planned := asked[[]client.RetentionDecision](t, env, 0, "retention", "plan", "--user", "u", "--site", "s")
	require.Equal(t, []client.RetentionDecision{{
		BackupID: b.ID, ScheduleID: &now.ID, UserID: "u", SiteID: "s", CreatedAt: b.CreatedAt, Keep: true, Reasons: []string{"last", "newest-good:db"},
	}}, planned)
	require.Empty(t, asked[[]client.RetentionDecision](t, env, 0, "retention", "plan", "--removed"))
	_, text, _ := runs(t, env, "retention", "plan")
	require.Regexp(t, "^BACKUP .*\n"+b.ID.String()+` +u +s +20\S+Z +keep +last, newest-good:db\n1 backup: 1 would stay, 0 would go\n$`, text)
	require.True(t, *asked[client.Schedule](t, env, 0, "schedule", "pause", id).Paused)
	require.Nil(t, asked[client.Schedule](t, env, 0, "schedule", "resume", id).Paused)

	_, out, _ := runs(t, env, "schedule", "list")
	require.Contains(t, out, "ID ")
	require.Regexp(t, id+` +nightly +u +s +@daily +UTC +20\S+Z +active\n`, out)
	require.Regexp(t, ` u +a +@hourly +UTC +20\S+Z +paused\n`, out)
	_, out, _ = runs(t, env, "schedule", "show", id)
	require.Contains(t, out, "schedule "+id+", nightly, of user u, site s: active\n")
	require.Regexp(t, `newest good backup +20\S+Z\n`, out)
	_, out, _ = runs(t, env, "schedule", "next", id, "--count", "1")
	require.Regexp(t, `^SLOT +RUNS\n20\S+T00:00:00Z +20\S+T00:00:00Z\n$`, out)
	_, out, _ = runs(t, env, "schedule", "runs", id)
	require.Equal(t, "SLOT  LAST  SLOTS  STATUS  BACKUP OR REASON\n", out)

	for _, test := range []struct {
		env    []string
		status int
		text   string
		args   []string
	}{
		{env, 4, "There is no such schedule.", []string{"show", "x"}},
		{with(other), 4, "There is no such schedule.", []string{"show", id}},
		{with(other), 5, "lacks the scope write", []string{"rm", id}},
		{env, 5, "not for this user", []string{"put", "--user", "o", "--site", "s", "--cron", "@daily"}},
		{env, 1, "body.cron hour", []string{"put", "--user", "u", "--site", "s", "--cron", "0 25 * * *"}},
		{env, 1, "body.maxAge must be a duration", []string{"put", "--user", "u", "--site", "s", "--cron", "@daily", "--max-age", "5m"}},
		{env, 1, "query.count", []string{"next", id, "--count", "101"}},
		{env, 2, "is no schedule's id", []string{"pause", ".."}},
		{env, 2, "must be one of", []string{"put", "--user", "u", "--site", "s", "--cron", "@daily", "--overlap", "wait"}},
		{env, 2, "missing flags", []string{"put", "--user", "u", "--site", "s"}},
		{env, 2, "must not be negative", []string{"runs", id, "--limit=-1"}},
	} {
		status, _, err := runs(t, test.env, append([]string{"schedule"}, test.args...)...)
		require.Equal(t, test.status, status, "%v: %s", test.args, err)
		require.Contains(t, err, test.text, test.args)
	}
	status, out, err := runs(t, env, "schedule", "rm", id)
	require.Zero(t, status, err)
	require.Equal(t, "schedule "+id+" is deleted\n", out)
	status, _, _ = runs(t, env, "schedule", "rm", id)
	require.Equal(t, 4, status)
}

// The schedules of the configuration file are there when the server is, are its alone,
// and go when the file hasn't them any more.
func TestDeclaredSchedules(t *testing.T) {
	t.Parallel()
	s := setup(t, 1000, "schedules:\n- {userId: u, siteId: s, name: nightly, cron: 30 2 * * *, timeZone: Europe/Berlin, retention: {keepLast: 3}}\n- {userId: u, siteId: t, cron: '@hourly'}\n")
	serve := func() (env []string, stop func()) {
		p := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
		return []string{"BACKUPD_SERVER=" + p.ready()}, func() {
			p.signal(syscall.SIGTERM)
			require.Zero(t, p.wait())
		}
	}
	env, stop := serve()
	all := asked[[]client.Schedule](t, env, 0, "schedule", "list")
	require.Len(t, all, 2)
	nightly := all[0]
	require.True(t, *nightly.Declared)
	require.Equal(t, int64(3), *nightly.Retention.KeepLast)
	id := nightly.ID.String()
	status, _, err := runs(t, env, "schedule", "rm", id)
	require.Equal(t, 6, status)
	require.Contains(t, err, "configuration file")
	status, _, _ = runs(t, env, "schedule", "put", "--user", "u", "--site", "s", "--name", "nightly", "--cron", "@daily")
	require.Equal(t, 6, status)
	asked[client.Schedule](t, env, 0, "schedule", "put", "--user", "u", "--site", "own", "--cron", "@daily")
	asked[client.Backup](t, env, 0, "schedule", "run", id, "--watch")
	stop()

	text, rerr := os.ReadFile(s.config)
	require.NoError(t, rerr)
	before, _, found := strings.Cut(string(text), "- {userId: u, siteId: t")
	require.True(t, found)
	require.NoError(t, os.WriteFile(s.config, []byte(before), 0o600))
	env, stop = serve()
	all = asked[[]client.Schedule](t, env, 0, "schedule", "list")
	require.Len(t, all, 2)
	require.Equal(t, nightly.ID, all[0].ID)
	require.True(t, nightly.UpdatedAt.Equal(all[0].UpdatedAt), "it is as it was: %s", all[0].UpdatedAt.Sub(nightly.UpdatedAt).Round(time.Second))
	require.Equal(t, "own", all[1].SiteID)
	stop()

	// A file without the key takes nobody's schedules away; one with an empty list does.
	without, _, found := strings.Cut(before, "schedules:")
	require.True(t, found)
	for i, add := range []string{"", "schedules: []\n"} {
		require.NoError(t, os.WriteFile(s.config, []byte(without+add), 0o600))
		_, out, _ := runs(t, s.env(), "config", "print")
		require.Equal(t, add != "", strings.Contains(out, "schedules: []"), out)
		env, stop = serve()
		require.Len(t, asked[[]client.Schedule](t, env, 0, "schedule", "list"), 2-i)
		stop()
	}

	require.NoError(t, os.WriteFile(s.config, []byte(before+"- {userId: u, siteId: x, cron: 61 * * * *}\n"), 0o600))
	for _, args := range [][]string{{"serve", "--listen", "localhost:0"}, {"config", "check"}} {
		status, _, err = runs(t, s.env(), args...)
		require.Equal(t, 1, status)
		require.Contains(t, err, "schedules[1].cron: minute")
	}
}
