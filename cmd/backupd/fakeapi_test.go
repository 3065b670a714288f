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
		"interrupted; the backup goes on":                               {"watch", fakeID},
		"interrupted; run the command again to go on with the download": {"download", fakeID, filepath.Join(t.TempDir(), "copy")},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			f := &fakeAPI{status: "running", asked: make(chan struct{}, 1)}
			f.content = func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).Flush()
				f.asked <- struct{}{}
				<-r.Context().Done()
			}
			p := start(t, f.env(t), append([]string{"backup"}, args...)...)
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
