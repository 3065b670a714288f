package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

// All that is a site's, and then a user's, is erased by the command line. Neither the
// receipt nor the server's log says whose it was.
func TestErasureCommands(t *testing.T) {
	t.Parallel()
	token, other := httpapi.NewToken(), httpapi.NewToken()
	const user = "somebody-4711"
	s := setup(t, 1000, "api:\n  tokens:\n    - {name: n, sha256: "+httpapi.HashToken(token)+", scopes: [read, write], users: ["+user+"]}\n"+
		"    - {name: o, sha256: "+httpapi.HashToken(other)+", scopes: [read, write], users: [o]}\n")
	server := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	url := server.ready()
	with := func(token string) []string { return []string{"BACKUPD_SERVER=" + url, "BACKUPD_TOKEN=" + token} }
	env := with(token)
	ids := make(map[string]string)
	for _, site := range []string{"a", "b", "c/d"} {
		b := asked[client.Backup](t, env, 0, "backup", "start", "--user", user, "--site", site, "--watch")
		ids[site] = b.ID.String()
	}
	erase := func(more ...string) []string { return append([]string{"erasure", "start", "--user", user}, more...) }

	for _, test := range []struct {
		env    []string
		status int
		text   string
		args   []string
	}{
		{env, 2, "this erases all that is of user " + user + ", site a, and there is no way back: say --yes", erase("--site", "a")},
		{env, 2, "can't be sent as an id", erase("--site", "..", "--yes")},
		{env, 2, "must not be empty", []string{"erasure", "start", "--user", " ", "--yes"}},
		{env, 2, "missing flags", []string{"erasure", "start", "--yes"}},
		{env, 2, "is no erasure's id", []string{"erasure", "show", "."}},
		{env, 4, "There is no such erasure.", []string{"erasure", "show", "x"}},
		{with(other), 5, "not for all that would be erased", erase("--yes")},
	} {
		status, _, err := runs(t, test.env, test.args...)
		require.Equal(t, test.status, status, "%v: %s", test.args, err)
		require.Contains(t, err, test.text, test.args)
	}
	require.Len(t, asked[[]client.BackupSummary](t, env, 0, "backup", "list"), 3)

	e := asked[client.Erasure](t, env, 0, erase("--site", "c/d", "--yes")...)
	require.Equal(t, client.ErasureStatusDone, e.Status)
	require.Equal(t, []int64{1, 3}, []int64{e.Backups, e.Objects})
	require.Equal(t, e, asked[client.Erasure](t, with(other), 0, "erasure", "show", e.ID.String()), "a receipt names nobody")
	require.Len(t, asked[[]client.BackupSummary](t, env, 0, "backup", "list"), 2)

	begun := asked[client.Erasure](t, env, 0, erase("--yes", "--no-wait")...)
	status, out, err := runs(t, env, erase("--yes")...)
	require.Zero(t, status, err)
	require.Regexp(t, `^erasure \S+: done\n  asked for +20\S+Z\n  done +20\S+Z\n  backups +\d\n  schedules +0\n  objects +\d, \d+ bytes\n$`, out)
	poll(t, "the first of the two to be done", func() bool {
		return asked[client.Erasure](t, env, 0, "erasure", "show", begun.ID.String()).Status == client.ErasureStatusDone
	})
	require.Empty(t, asked[[]client.BackupSummary](t, env, 0, "backup", "list"))
	status, _, _ = runs(t, env, "backup", "show", ids["a"])
	require.Equal(t, 4, status)
	require.Contains(t, server.err.String(), "path=/user/{userId}/backup status=202")
	require.Contains(t, server.err.String(), "path=/user/{userId}/site/{siteId}/backup status=202")
	require.NotContains(t, server.err.String(), user)
}

// A server that is restarted behind a proxy ends no wait.
func TestErasureOutlivesAProxysErrors(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := "running"
		if r.Method == http.MethodGet {
			switch asked.Add(1) {
			case 1:
				w.WriteHeader(http.StatusBadGateway)
				return
			case 2:
				status = "done"
			}
		}
		_, _ = fmt.Fprintf(w, `{"id": %q, "status": %q}`, fakeID, status)
	}))
	t.Cleanup(server.Close)
	status, out, err := runs(t, []string{"BACKUPD_SERVER=" + server.URL}, "erasure", "start", "--user", "u", "--yes")
	require.Zero(t, status, err)
	require.Contains(t, out, "erasure "+fakeID+": done\n")
	require.Contains(t, err, "is held up: 502 Bad Gateway\n")
}
