package httpapi_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/httpapi"
)

// poll asks for a backup unless it is as the tag says.
func (b *bundle) poll(t testing.TB, id, etag, wait string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/backup/"+id+"?wait="+wait, nil)
	require.NoError(t, err)
	req.Header.Set("If-None-Match", etag)
	return send(t, req)
}

// requireWaiting checks that there is no answer for a while.
func requireWaiting(t testing.TB, answers <-chan answer) {
	t.Helper()
	select {
	case a := <-answers:
		require.Fail(t, "answered at once", "%d", a.StatusCode)
	case <-time.After(200 * time.Millisecond):
	}
}

// workAndCancel takes a backup's export through a part, and cancels it.
func (b *bundle) workAndCancel(t testing.TB, id string) {
	t.Helper()
	w := b.begin(t, id, "site")
	b.journal(t, w, 0)
	b.cancel(t, id)
}

// begin plans a backup and claims its export, as workers do.
func (b *bundle) begin(t testing.TB, id, provider string) *backup.TaskWork {
	t.Helper()
	ledger := b.client.Ledger()
	claim := func(query string) backup.ClaimParams {
		p := backup.ClaimParams{Worker: "test", Duration: time.Hour}
		require.NoError(t, b.pool.QueryRow(t.Context(), query, id).Scan(&p.JobID))
		return p
	}
	step, err := ledger.ClaimPlan(t.Context(), id, claim("SELECT river_job_id FROM "+b.schema+".backup WHERE id = $1"))
	require.NoError(t, err)
	require.NoError(t, ledger.FinishPlan(t.Context(), step.Lease, []backup.Planned{{Provider: provider, Size: -1}}))
	planned, err := b.client.Get(t.Context(), id)
	require.NoError(t, err)
	args := backup.TaskArgs{Version: 1, BackupID: id, TaskID: planned.Tasks[0].ID, Provider: provider}
	w, err := ledger.ClaimTask(t.Context(), args, claim("SELECT river_job_id FROM "+b.schema+".backup_task WHERE backup_id = $1"))
	require.NoError(t, err)
	require.NoError(t, ledger.OpenTask(t.Context(), w, backup.Source{Size: -1}))
	return w
}

// journal stores the n-th part of an export, and announces it.
func (b *bundle) journal(t testing.TB, w *backup.TaskWork, n int) {
	t.Helper()
	part := blob.Part{ID: blob.NewPartID(w.UploadID, w.Token, n), Size: 10}
	require.NoError(t, b.client.Ledger().JournalTask(t.Context(), w, &blob.Checkpoint{Parts: []blob.Part{part}, Offset: int64(10 * (n + 1)), SHA256: []byte("s")}, true))
}

func TestETag(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true})
	id := b.startOne(t)
	path := "/backup/" + id
	a := b.get(t, path)
	etag := a.Header.Get("ETag")
	require.Regexp(t, `^"[A-Za-z0-9_-]{22}"$`, etag)
	require.Equal(t, etag, b.get(t, path).Header.Get("ETag"))
	for _, same := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		a = b.poll(t, id, same, "0s")
		require.Equal(t, http.StatusNotModified, a.StatusCode, same)
		require.Empty(t, a.body)
		require.Equal(t, etag, a.Header.Get("ETag"))
		require.Equal(t, "2", a.Header.Get("Retry-After"))
	}
	for _, other := range []string{`"x"`, "", etag[1:], `"` + etag} {
		require.Equal(t, http.StatusOK, b.poll(t, id, other, "60s").StatusCode, other)
	}

	// A heartbeat writes no event, and shows.
	w := b.begin(t, id, "site")
	etag = b.get(t, path).Header.Get("ETag")
	b.exec(t, "UPDATE {{schema}}.backup_task SET received_bytes = 7 WHERE backup_id = @id", pgx.NamedArgs{"id": id})
	a = b.poll(t, id, etag, "0s")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, int64(7), decode[httpapi.Backup](t, a).Progress.ReceivedBytes)
	require.NotEqual(t, uuid.Nil, w.Token)

	b.exec(t, "UPDATE {{schema}}.backup_task SET state = 'pending', lease_token = NULL, lease_until = NULL, next_attempt_at = now() + interval '1 hour' WHERE backup_id = @id", pgx.NamedArgs{"id": id})
	require.Equal(t, "10", b.get(t, path).Header.Get("Retry-After"))
	b.cancel(t, id)
	require.Empty(t, b.get(t, path).Header.Get("Retry-After"), "it has ended")
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	for name, watch := range map[string]bool{"with a watcher": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, settings{watch: watch})
			id := b.startOne(t)
			etag := b.get(t, "/backup/"+id).Header.Get("ETag")
			began := time.Now()
			require.Equal(t, http.StatusNotModified, b.poll(t, id, etag, "300ms").StatusCode)
			require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)

			answers := make(chan answer, 1)
			go func() { answers <- b.poll(t, id, etag, "30s") }()
			requireWaiting(t, answers)
			b.cancel(t, id)
			a := <-answers
			require.Equal(t, http.StatusOK, a.StatusCode)
			require.Equal(t, "canceled", decode[httpapi.Backup](t, a).Status)
			require.NotEqual(t, etag, a.Header.Get("ETag"))

			// What a heartbeat has brought is told in the end.
			etag = a.Header.Get("ETag")
			go func() { answers <- b.poll(t, id, etag, "2s") }()
			b.exec(t, "UPDATE {{schema}}.backup SET labels = '{\"a\": \"b\"}' WHERE id = @id", pgx.NamedArgs{"id": id})
			require.Equal(t, http.StatusOK, (<-answers).StatusCode)
		})
	}
}

func TestLongPollOfABackupThatGoes(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true})
	id := b.startOne(t)
	etag := b.get(t, "/backup/"+id).Header.Get("ETag")
	answers := make(chan answer, 1)
	go func() { answers <- b.poll(t, id, etag, "30s") }()
	requireWaiting(t, answers)
	b.exec(t, "DELETE FROM {{schema}}.backup WHERE id = @id", pgx.NamedArgs{"id": id})
	b.exec(t, "SELECT pg_notify(@channel, '')", pgx.NamedArgs{"channel": b.schema + ".backup_event"})
	requireProblem(t, <-answers, 404, httpapi.CodeNotFound)
}

func TestWaitIsValidated(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	id := b.startOne(t)
	for _, bad := range []string{"1", "-1s", "61s", "1h", "60001ms", "x", "1.5s", "1m", "1s1s", strconv.Itoa(1<<40) + "s"} {
		p := requireProblem(t, b.get(t, "/backup/"+id+"?wait="+bad), 422, httpapi.CodeValidationFailed)
		require.Equal(t, "query.wait", p.Errors[0].Location, bad)
	}
	require.Equal(t, http.StatusOK, b.get(t, "/backup/"+id+"?wait=60s").StatusCode, "there is nothing to compare with")
}

// A client that has gone isn't one that was refused.
func TestClientThatGoesIsLoggedAsGone(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	id := b.startOne(t)
	etag := b.get(t, "/backup/"+id).Header.Get("Etag")
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/backup/"+id+"?wait=60s", nil)
	require.NoError(t, err)
	req.Header.Set("If-None-Match", etag)
	req.Header.Set("X-Request-Id", "gone")
	ended := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req)
		ended <- err
	}()
	eventually(t, func() bool {
		return strings.Contains(string(b.get(t, "/metrics").body), `sitebackup_http_open_streams{kind="longPoll"} 1`)
	})
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	eventually(t, func() bool { return strings.Contains(b.log.String(), "msg=request requestId=gone") })
	for line := range strings.Lines(b.log.String()) {
		if strings.Contains(line, "requestId=gone") {
			require.Contains(t, line, "status=499")
		}
	}
}
