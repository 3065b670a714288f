package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

const fakeID = "019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"

// fakeAPI answers about one backup, with what a server says at rare times only.
type fakeAPI struct {
	status   string // of the backup
	verified string // when the last verification ended
	answer   string // to questions about backups; "": what the others say
	content  http.HandlerFunc
	asked    chan struct{} // gets one for each question about the backup
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/content"):
		f.content(w, r)
		return
	case strings.HasSuffix(r.URL.Path, "/manifest"):
		_ = json.NewEncoder(w).Encode(backup.Manifest{Version: 1, BackupID: fakeID, Objects: []backup.ManifestObject{{Provider: "site", Size: 3, SHA256: strings.Repeat("0", 64)}}})
		return
	case r.Method == http.MethodGet:
		select {
		case f.asked <- struct{}{}:
		default:
		}
	}
	if f.answer != "" {
		_, _ = w.Write([]byte(f.answer))
		return
	}
	_, _ = fmt.Fprintf(w, `{"id": %q, "status": %q, "verifying": %t, "verification": {"finishedAt": %q, "sample": 1, "objects": 2}}`,
		fakeID, f.status, r.Method == http.MethodPost, f.verified)
}

func (f *fakeAPI) env(t *testing.T) []string {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return []string{"BACKUPD_SERVER=" + server.URL}
}

// A copy that isn't what was stored has an exit status of its own, whoever notices.
func TestDownloadDamaged(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]http.HandlerFunc{
		"another SHA-256": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("abc")) },
		"the server says so": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"code": "object_damaged", "detail": "The copy is damaged."}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeAPI{status: "done", content: content}
			status, out, err := runs(t, f.env(t), "backup", "download", fakeID, filepath.Join(t.TempDir(), "copy"))
			require.Equal(t, 3, status, "%s%s", out, err)
			require.Contains(t, strings.ToLower(err), "the copy is damaged")
		})
	}
}

// What an earlier verification found isn't reported as the result of this one.
func TestVerifyWithoutResult(t *testing.T) {
	t.Parallel()
	f := &fakeAPI{status: "done", verified: "2026-01-02T03:04:05Z"}
	status, out, err := runs(t, f.env(t), "backup", "verify", fakeID)
	require.Equal(t, 1, status, out)
	require.Contains(t, err, "was given up")
}

// Ctrl-C ends the wait, and not the backup.
func TestWaitInterrupted(t *testing.T) {
	t.Parallel()
	for text, args := range map[string][]string{
		"interrupted; the backup goes on":                               {"backup", "watch", fakeID},
		"interrupted; run the command again to go on with the download": {"backup", "download", fakeID, filepath.Join(t.TempDir(), "copy")},
		"interrupted; erasure " + fakeID + " goes on":                   {"erasure", "start", "--user", "u", "--yes"},
	} {
		t.Run(args[1], func(t *testing.T) {
			t.Parallel()
			f := &fakeAPI{status: "running", asked: make(chan struct{}, 1)}
			f.content = func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).Flush()
				f.asked <- struct{}{}
				<-r.Context().Done()
			}
			p := start(t, f.env(t), args...)
			select {
			case <-f.asked:
			case <-time.After(patience):
				require.Fail(t, "it asks nothing")
			}
			p.signal(syscall.SIGINT)
			require.Equal(t, 130, p.wait())
			require.Equal(t, "backupd: "+text+"\n", p.err.String())
		})
	}
}

// People see when and why a backup failed, when it is tried again, and what was tried.
func TestBackupsInText(t *testing.T) {
	t.Parallel()
	f := &fakeAPI{answer: `{"backups": [
		{"id": "` + fakeID + `", "status": "failed", "userId": "u", "siteId": "s", "createdAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T04:00:00Z",
			"error": {"class": "permanent", "message": "source answered 404"}},
		{"id": "` + fakeID + `", "status": "running", "userId": "u", "siteId": "s", "createdAt": "2026-01-02T03:04:05Z"}]}`}
	status, out, err := runs(t, f.env(t), "backup", "list")
	require.Zero(t, status, err)
	require.Regexp(t, `failed +u +s +2026-01-02T03:04:05Z +2026-01-02T04:00:00Z +source answered 404\n`, out)
	require.Regexp(t, `running +u +s +2026-01-02T03:04:05Z +- +\n`, out)

	f.answer = `{"id": "` + fakeID + `", "status": "running", "userId": "u", "siteId": "s", "nextAttemptAt": "2026-01-02T03:30:00Z", "tasks": [{"provider": "site", "status": "pending", "attempt": 2,
		"nextAttemptAt": "2026-01-02T03:20:00Z", "error": {"class": "retryable", "message": "source answered 503"},
		"attempts": [{"n": 1, "startedAt": "2026-01-02T03:05:00Z", "endedAt": "2026-01-02T03:06:00Z", "outcome": "failed", "receivedBytes": 1048576, "error": {"class": "retryable", "message": "source answered 503"}}]}],
		"verification": {"finishedAt": "2026-01-02T05:00:00Z", "error": {"class": "permanent", "message": "the verification was canceled"}}}`
	status, out, err = runs(t, f.env(t), "backup", "show", fakeID)
	require.Zero(t, status, err)
	for _, line := range []string{
		"  backup: next attempt at 2026-01-02T03:30:00Z\n", "  site: source answered 503\n", "  site: next attempt at 2026-01-02T03:20:00Z\n",
		"  site, attempt 1, 2026-01-02T03:05:00Z to 2026-01-02T03:06:00Z: failed at 1.0 MiB: source answered 503\n",
		"  verification of 2026-01-02T05:00:00Z: the verification was canceled\n",
	} {
		require.Contains(t, out, line)
	}
	require.NotContains(t, out, "verified")
}
