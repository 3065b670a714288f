package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

const id = "019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"

// api serves one backup, as the API does; cut says how much of each answer gets
// through.
type api struct {
	data     []byte
	manifest backup.Manifest

	mu     sync.Mutex
	cut    int  // 0: all
	stall  bool // the first answer doesn't break off, but stops there
	ranges []string
	when   []string // the conditions of the ranges
}

func newAPI(t *testing.T) (*api, *client.Client) {
	t.Helper()
	a := &api{data: make([]byte, 500_000)}
	_, _ = rand.NewChaCha8([32]byte{2}).Read(a.data)
	a.manifest = backup.Manifest{Version: 1, BackupID: id, Objects: []backup.ManifestObject{{
		Provider: "site", Key: "u/s/" + id + "/site/1", Size: int64(len(a.data)), SHA256: digest(a.data),
	}}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	c, err := client.NewClient(server.URL)
	require.NoError(t, err)
	return a, c
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/manifest") {
		_ = json.NewEncoder(w).Encode(a.manifest)
		return
	}
	a.ranges = append(a.ranges, r.Header.Get("Range"))
	a.when = append(a.when, r.Header.Get("If-Range"))
	w.Header().Set("Etag", fmt.Sprintf("%q", digest(a.data)))
	if a.cut > 0 {
		w = &cutter{w, a.cut, r, a.stall}
		a.stall = false
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.data))
}

// cutter breaks the connection off.
type cutter struct {
	http.ResponseWriter
	left  int
	r     *http.Request
	stall bool
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	if c.stall {
		<-c.r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

func (a *api) download(t *testing.T, c *client.Client, dir string) error {
	t.Helper()
	_, err := Download(t.Context(), c, id, dir, func(string, int64, int64) {})
	return err
}

func TestDownloadGoesOn(t *testing.T) {
	t.Parallel()
	a, c := newAPI(t)
	a.cut = 200_000
	dir := t.TempDir()
	require.NoError(t, a.download(t, c, dir))
	require.Equal(t, []string{"", "bytes=200000-", "bytes=400000-"}, a.ranges)
	etag := fmt.Sprintf("%q", digest(a.data))
	require.Equal(t, []string{"", etag, etag}, a.when)
	got, err := os.ReadFile(filepath.Join(dir, "site"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(a.data, got))
	require.FileExists(t, filepath.Join(dir, ManifestName))
	require.NoFileExists(t, filepath.Join(dir, "site.part"))
	require.NoError(t, a.download(t, c, dir))
	require.Len(t, a.ranges, 3, "what is there is not asked for again")
}

// However often it breaks off, as long as something came each time.
func TestDownloadGoesOnAndOn(t *testing.T) {
	t.Parallel()
	a, c := newAPI(t)
	a.cut = len(a.data)/(tries+2) + 1
	require.NoError(t, a.download(t, c, t.TempDir()))
	require.Len(t, a.ranges, tries+2)
}

// Another process goes on where one was killed; and what it left may be anything.
func TestDownloadTakesUpWhatIsThere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		there  func(data []byte) []byte
		ranges []string
	}{
		"a beginning":      {func(data []byte) []byte { return data[:123] }, []string{"bytes=123-"}},
		"all of it":        {func(data []byte) []byte { return data }, nil},
		"something else":   {func([]byte) []byte { return make([]byte, 123) }, []string{"bytes=123-", ""}},
		"too much":         {func(data []byte) []byte { return append(bytes.Clone(data), 1) }, []string{""}},
		"all, but damaged": {func(data []byte) []byte { return make([]byte, len(data)) }, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, c := newAPI(t)
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "site.part"), test.there(a.data), 0o600))
			require.NoError(t, a.download(t, c, dir))
			require.Equal(t, test.ranges, a.ranges)
			got, err := os.ReadFile(filepath.Join(dir, "site"))
			require.NoError(t, err)
			require.True(t, bytes.Equal(a.data, got))
		})
	}
}

// A connection on which nothing comes any more is left, and the download goes on.
func TestDownloadLeavesWhatStalls(t *testing.T) {
	t.Parallel()
	a, _ := newAPI(t)
	a.cut, a.stall = 300_000, true
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	c, err := client.NewClient(server.URL, client.WithHTTPClient(&http.Client{Transport: &Stall{RoundTripper: http.DefaultTransport, After: 200 * time.Millisecond}}))
	require.NoError(t, err)
	require.NoError(t, a.download(t, c, t.TempDir()))
	require.Equal(t, []string{"", "bytes=300000-"}, a.ranges)
}

// An answer that stalls is an error that says so, also where nothing can go on.
func TestStall(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	c, err := client.NewClient(server.URL, client.WithHTTPClient(&http.Client{Transport: &Stall{RoundTripper: http.DefaultTransport, After: 100 * time.Millisecond}}))
	require.NoError(t, err)
	_, err = client.Read[client.Backup](c.GetBackup(t.Context(), id, nil))
	require.EqualError(t, err, "read answer: the server has sent nothing for 100ms")
}

// What somebody else has put into the directory isn't overwritten, unless a download
// was begun there.
func TestDownloadSparesOthersFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		there []string
		text  string // "": it is taken for a copy of our own
	}{
		"a file of that name":     {[]string{"site"}, "no download has left it"},
		"another file beside":     {[]string{"notes"}, ""},
		"a download that was cut": {[]string{"site", "site" + partSuffix}, ""},
		"a copy that is damaged":  {[]string{"site", ManifestName}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, c := newAPI(t)
			dir := t.TempDir()
			for _, file := range test.there {
				data := []byte("mine")
				if file == ManifestName {
					data, _, _ = manifest(t.Context(), c, id)
				}
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), data, 0o600))
			}
			err := a.download(t, c, dir)
			if test.text != "" {
				require.ErrorContains(t, err, test.text)
				got, err := os.ReadFile(filepath.Join(dir, "site"))
				require.NoError(t, err)
				require.Equal(t, "mine", string(got))
				require.Empty(t, a.ranges)
				return
			}
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(dir, "site"))
			require.NoError(t, err)
			require.True(t, bytes.Equal(a.data, got))
		})
	}
}

// A copy that isn't what the manifest says is never taken for whole.
func TestDownloadRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*api)
		text   string
	}{
		"another digest":  {func(a *api) { a.manifest.Objects[0].SHA256 = strings.Repeat("0", 64) }, "the copy is damaged: its SHA-256 is"},
		"another size":    {func(a *api) { a.manifest.Objects[0].Size-- }, "the copy is damaged: the export has 500000 bytes"},
		"longer":          {func(a *api) { a.manifest.Objects[0].Size++ }, "the copy is damaged: the export has 500000 bytes"},
		"a path":          {func(a *api) { a.manifest.Objects[0].Provider = "../x" }, "name"},
		"another backup":  {func(a *api) { a.manifest.BackupID = "x" }, "of backup \"x\""},
		"another version": {func(a *api) { a.manifest.Version = 2 }, "version 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, c := newAPI(t)
			test.change(a)
			dir := t.TempDir()
			require.ErrorContains(t, a.download(t, c, dir), test.text)
			require.NoFileExists(t, filepath.Join(dir, ManifestName))
			require.NoFileExists(t, filepath.Join(dir, "site"))
		})
	}
}

func TestDownloadIntoAnothersDirectory(t *testing.T) {
	t.Parallel()
	a, c := newAPI(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ManifestName), []byte("{}"), 0o600))
	require.ErrorContains(t, a.download(t, c, dir), "is of another backup")
}

// What may pass is asked for again; what can't is not.
func TestWatch(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	answers := []int{503, 429, 200, 404}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(answers[0])
		answers = answers[1:]
		_, _ = fmt.Fprintf(w, `{"id":%q,"status":"running"}`, id)
	}))
	t.Cleanup(server.Close)
	c, err := client.NewClient(server.URL)
	require.NoError(t, err)
	shown := 0
	_, err = Watch(context.WithoutCancel(t.Context()), c, id, func(*client.Backup) { shown++ }, Ended)
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, int64(404), e.Status)
	require.Equal(t, 1, shown)
}
