package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

// asked runs a command that prints JSON.
func asked[T any](t *testing.T, env []string, want int, args ...string) (v T) {
	t.Helper()
	status, out, err := runs(t, env, append(args, "--output", "json")...)
	require.Equal(t, want, status, "%s%s", out, err)
	require.NoError(t, json.Unmarshal([]byte(out), &v), "%s", out)
	return v
}

// A backup's life by the command line alone, against a server that wants a token.
func TestBackupCommands(t *testing.T) {
	t.Parallel()
	token := httpapi.NewToken()
	s := setup(t, 3<<20, "api:\n  tokens:\n    - {name: n, sha256: "+httpapi.HashToken(token)+", scopes: [read, write, admin], users: [u]}\n")
	url := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0").ready()
	env := []string{"BACKUPD_SERVER=" + url, "BACKUPD_TOKEN=" + token}
	dir := filepath.Join(t.TempDir(), "copy")

	b := asked[client.Backup](t, env, 0, "backup", "start", "--user", "u", "--site", "s", "--label", "why=a;b", "--key", "k", "--watch")
	require.Equal(t, client.BackupStatusDone, b.Status)
	require.Equal(t, map[string]string{"why": "a;b"}, b.Labels)
	id := b.ID.String()
	again := asked[client.Backup](t, env, 0, "backup", "start", "--user", "u", "--site", "s", "--label", "why=a;b", "--key", "k")
	require.Equal(t, b.ID, again.ID)
	require.Equal(t, b, asked[client.Backup](t, env, 0, "backup", "show", id))
	for range 3 {
		asked[client.Backup](t, env, 0, "backup", "start", "--user", "u", "--site", "other", "--provider", "db", "--watch")
	}
	require.Len(t, asked[[]client.BackupSummary](t, env, 0, "backup", "list"), 4)
	require.Len(t, asked[[]client.BackupSummary](t, env, 0, "backup", "list", "--limit", "3"), 3)
	require.Equal(t, b.ID, asked[[]client.BackupSummary](t, env, 0, "backup", "list", "--site", "s", "--status", "done,failed", "--since", "2026-01-01T00:00:00Z")[0].ID)
	v := asked[client.Backup](t, env, 0, "backup", "verify", id)
	require.NotNil(t, v.VerifiedAt)

	status, out, err := runs(t, env, "backup", "download", id, dir)
	require.Zero(t, status, err)
	require.Contains(t, out, "3.0 MiB")
	require.Contains(t, out, "backup "+id+" is whole in "+dir)
	status, out, err = runs(t, nil, "verify", "--offline", "--dir", dir)
	require.Zero(t, status, err)
	require.Equal(t, "read 2 exports, 2 parts, 6.0 MiB: 0 problems\n", out)
	status, _, err = runs(t, s.env(), "verify", "--manifest", *b.ManifestKey)
	require.Zero(t, status, err)

	// What is damaged is named, and a second download mends it.
	file := filepath.Join(dir, "site")
	data, rerr := os.ReadFile(file)
	require.NoError(t, rerr)
	data[99] ^= 1
	require.NoError(t, os.WriteFile(file, data, 0o600))
	found := asked[backup.Verification](t, nil, 3, "verify", "--offline", "--dir", dir)
	require.Equal(t, "site", found.Problems[0].Provider)
	require.Equal(t, 0, *found.Problems[0].Part)
	asked[map[string]any](t, env, 0, "backup", "download", id, dir)
	asked[backup.Verification](t, nil, 0, "verify", "--offline", "--dir", dir)
	require.NoError(t, os.Truncate(file, 1000))
	asked[backup.Verification](t, nil, 3, "verify", "--offline", "--dir", dir)
	require.NoError(t, os.Remove(filepath.Join(dir, "manifest.json")))
	asked[backup.Verification](t, nil, 4, "verify", "--offline", "--dir", dir)

	held := asked[client.Backup](t, env, 0, "backup", "hold", id, "--reason", "case 4711")
	require.Equal(t, "case 4711", *held.Hold.Reason)
	status, out, _ = runs(t, env, "backup", "show", id)
	require.Zero(t, status)
	require.Contains(t, out, ": case 4711\n")
	status, _, _ = runs(t, env, "backup", "rm", id)
	require.Equal(t, 6, status)
	require.Nil(t, asked[client.Backup](t, env, 0, "backup", "release", id).Hold)
	asked[client.Backup](t, env, 0, "backup", "rm", id)
	poll(t, "the backup to be gone", func() bool {
		status, _, _ := runs(t, env, "backup", "show", id)
		return status == 4
	})
}

func TestBackupStatuses(t *testing.T) {
	t.Parallel()
	read, other := httpapi.NewToken(), httpapi.NewToken()
	s := setup(t, 1000, "limits: {maxSize: 10}\napi:\n  tokens:\n"+
		"    - {name: n, sha256: "+httpapi.HashToken(read)+", scopes: [read, write]}\n    - {name: o, sha256: "+httpapi.HashToken(other)+", scopes: [read], users: [o]}\n")
	url := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0").ready()
	with := func(token string) []string { return []string{"BACKUPD_SERVER=" + url, "BACKUPD_TOKEN=" + token} }
	b := asked[client.Backup](t, with(read), 3, "backup", "start", "--user", "u", "--site", "s", "-w") // it is larger than the limit
	require.Equal(t, client.BackupStatusFailed, b.Status)
	id := b.ID.String()
	for _, test := range []struct {
		env    []string
		status int
		text   string
		args   []string
	}{
		{with(read), 3, "is failed", []string{"watch", id}},
		{with(read), 6, "It isn't possible to cancel a backup that is failed.", []string{"cancel", id}},
		{with(read), 6, "read the manifest", []string{"download", id, filepath.Join(t.TempDir(), "x")}},
		{with(other), 4, "There is no such backup.", []string{"show", id}},
		{with(other), 5, "lacks the scope write", []string{"rm", id}},
		{with("x"), 5, "not one that this server knows", []string{"list"}},
		{with(read), 1, "limit", []string{"start", "--user", strings.Repeat("u", 300), "--site", "s"}},
		{with(read), 2, "is no backup's id", []string{"show", ".."}},
		{with(read), 2, "--server must be a URL", []string{"list", "--server", "localhost"}},
		{with(read), 2, "must be one of", []string{"list", "--status", "finished"}},
		{[]string{"BACKUPD_SERVER=http://127.0.0.1:1"}, 1, "connection refused", []string{"list"}},
	} {
		status, _, err := runs(t, test.env, append([]string{"backup"}, test.args...)...)
		require.Equal(t, test.status, status, "%v: %s", test.args, err)
		if test.status != 1 || test.args[0] == "list" {
			require.Contains(t, err, test.text)
		}
		require.NotContains(t, err, read)
	}
	retried := asked[client.Backup](t, with(read), 0, "backup", "retry", id)
	require.Contains(t, []client.BackupStatus{client.BackupStatusPending, client.BackupStatusRunning}, retried.Status)
}
