package httpapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// hooked is a store in which something happens to what is opened.
type hooked struct {
	*memblob.Store
	mu     sync.Mutex
	opened []int64 // the lengths
	open   func(body io.ReadCloser) (io.ReadCloser, error)
}

func (s *hooked) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, err := s.Store.Open(ctx, key, offset, length)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, length)
	if err != nil || s.open == nil {
		return body, err
	}
	return s.open(body)
}

func (s *hooked) hook(open func(io.ReadCloser) (io.ReadCloser, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.opened = open, nil
}

func TestContent(t *testing.T) {
	t.Parallel()
	es, store := exports(), &hooked{Store: memblob.New()}
	b := setup(t, settings{store: store, exports: es})
	v := b.done(t)
	path, data := "/backup/"+v.ID+"/tasks/site/content", es["site"].data
	sum := sha256.Sum256(data)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`

	a := b.get(t, path)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
	require.True(t, bytes.Equal(data, a.body))
	want := map[string]string{
		"Content-Type": "application/x-tar", "Content-Length": "300000", "Accept-Ranges": "bytes", "Etag": etag,
		"Repr-Digest":         "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
		"Content-Disposition": `attachment; filename="site-` + v.ID + `.tar"`, "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "private, no-cache",
	}
	for name, value := range want {
		require.Equal(t, value, a.Header.Get(name), name)
	}
	for _, header := range []string{"X-None: ", "Range: bytes=0-9", "Range: bytes=300000-"} { // of a GET alone, RFC 9110 §14.2
		head := b.at(t, http.MethodHead, path, "", header)
		require.Equal(t, http.StatusOK, head.StatusCode, header)
		require.Empty(t, head.body)
		for name, value := range want {
			require.Equal(t, value, head.Header.Get(name), name)
		}
	}
	require.Equal(t, "text/html; charset=utf-8", b.get(t, strings.Replace(path, "site", "db", 1)).Header.Get("Content-Type"))

	for value, want := range map[string][2]int{
		"bytes=0-0": {0, 1}, "bytes=100-199": {100, 200}, "bytes=299999-": {299_999, 300_000}, "bytes=-1000": {299_000, 300_000}, "bytes=299990-999999": {299_990, 300_000},
		"BYTES=0-5": {0, 6}, "bytes=" + " 1-2 ": {1, 3}, "bytes=299999-" + strings.Repeat("9", 30): {299_999, 300_000}, "bytes=-" + strings.Repeat("9", 30): {0, 300_000},
	} {
		store.hook(nil)
		a := b.with(t, path, "Range", value)
		require.Equal(t, http.StatusPartialContent, a.StatusCode, value)
		require.True(t, bytes.Equal(data[want[0]:want[1]], a.body), value)
		require.Equal(t, "bytes "+strconv.Itoa(want[0])+"-"+strconv.Itoa(want[1]-1)+"/300000", a.Header.Get("Content-Range"))
		require.Equal(t, etag, a.Header.Get("Etag"))
		require.Equal(t, []int64{int64(want[1] - want[0])}, store.opened, "no more is asked of the store")
	}
	for _, value := range []string{"bytes=0-1,5-6", "bytes=-1,-1", "items=0-5", "bytes", "bytes=", "bytes=-", "bytes=x", "bytes=5-1", "bytes=--1", "bytes=0x1-", "bytes=+1-2", "bytes=0 - 5"} {
		a := b.with(t, path, "Range", value)
		require.Equal(t, http.StatusOK, a.StatusCode, value)
		require.Len(t, a.body, len(data), value)
	}
	for _, value := range []string{"bytes=300000-", "bytes=-0", "bytes=" + strings.Repeat("9", 30) + "-"} {
		a := b.with(t, path, "Range", value)
		h := requireStored(t, a, 416, httpapi.CodeRange)
		require.Equal(t, "bytes */300000", h.Get("Content-Range"), value)
		require.Contains(t, string(a.body), "It has 300000 bytes, and the range has none of them.")
	}
	require.Equal(t, http.StatusNotModified, b.with(t, path, "If-None-Match", etag).StatusCode)
	requireProblem(t, b.with(t, path, "If-Match", `"x"`), 412, httpapi.CodePrecondition)
	for value, length := range map[string]int{etag: 10, `"x"`: len(data), "W/" + etag: len(data)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+path, nil)
		require.NoError(t, err)
		req.Header.Set("Range", "bytes=0-9")
		req.Header.Set("If-Range", value)
		require.Len(t, send(t, req).body, length, value)
	}
}

func TestContentThatIsNone(t *testing.T) {
	t.Parallel()
	es, store := exports(), &hooked{Store: memblob.New()}
	b := setup(t, settings{store: store, exports: es})
	hold := make(chan struct{})
	es["db"].pause(hold)
	id := b.started(t, start).ID
	b.awaits(t, id, func(v httpapi.Backup) bool { return len(v.Tasks) == 2 })
	requireProblem(t, b.get(t, "/backup/"+id+"/tasks/db/content"), 409, httpapi.CodeStateConflict)
	requireProblem(t, b.get(t, "/backup/"+id+"/tasks/mail/content"), 404, httpapi.CodeNotFound)
	close(hold)
	b.awaitStatus(t, id, "done")
	path := "/backup/" + id + "/tasks/site/content"
	p := requireProblem(t, b.get(t, path+"?redirect=yes"), 422, httpapi.CodeValidationFailed)
	require.Equal(t, []httpapi.FieldError{{"query.redirect", "must be true or false"}}, p.Errors)
	requireProblem(t, b.get(t, path+"?redirect=true"), 400, httpapi.CodeNoRedirect)

	store.hook(func(io.ReadCloser) (io.ReadCloser, error) { return nil, errors.New("secret: the store is away") })
	p = requireProblem(t, b.get(t, path), 503, httpapi.CodeUnavailable)
	require.NotContains(t, p.Detail, "secret")
	store.hook(func(io.ReadCloser) (io.ReadCloser, error) { return nil, blob.ErrNotFound })
	requireProblem(t, b.get(t, path), 500, httpapi.CodeObjectDamaged)
	store.hook(func(io.ReadCloser) (io.ReadCloser, error) { // it was deleted while we looked
		b.exec(t, "UPDATE {{schema}}.backup SET state = 'deleting' WHERE id = @id", pgx.NamedArgs{"id": id})
		return nil, blob.ErrNotFound
	})
	requireProblem(t, b.get(t, path), 409, httpapi.CodeStateConflict)
}

func TestContentWithoutStore(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	id := b.fake(t, 10)
	requireProblem(t, b.get(t, "/backup/"+id+"/tasks/site/content"), 501, httpapi.CodeNoStore)
}

// fake makes the rows of a backup that is done and has an export of so many
// bytes.
func (b *bundle) fake(t testing.TB, size int64) string {
	t.Helper()
	id := b.started(t, start).ID
	args := pgx.NamedArgs{"id": id, "size": size}
	b.exec(t, `UPDATE {{schema}}.backup SET state = 'done', started_at = now(), finished_at = now(), manifest = 'x', manifest_key = 'k' WHERE id = @id`, args)
	b.exec(t, `INSERT INTO {{schema}}.backup_task (id, backup_id, provider, state, started_at, finished_at, upload_id, object_key,
			received_bytes, stored_bytes, stored_parts, size, sha256, proof, capture_started_at, capture_finished_at)
		VALUES (gen_random_uuid(), @id, 'site', 'done', now(), now(), gen_random_uuid(), 'k', @size, @size, 1, @size, decode(repeat('ab', 32), 'hex'), 'length', now(), now())`, args)
	return id
}

// endless is a store whose only object has as many zeros as are asked for.
type endless struct {
	blob.Store
	closed chan struct{}
}

func (s *endless) Open(_ context.Context, _ string, _, length int64) (io.ReadCloser, error) {
	return &zeros{s, io.LimitReader(zero{}, length)}, nil
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

type zeros struct {
	store *endless
	io.Reader
}

func (z *zeros) Close() error {
	close(z.store.closed)
	return nil
}

// An export of any size takes no more memory than a small one. Not parallel: it
// counts what the process allocates.
func TestContentInBoundedMemory(t *testing.T) {
	const size = 512 << 20
	b := setup(t, settings{store: &endless{closed: make(chan struct{})}})
	id := b.fake(t, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := http.Get(b.url + "/backup/" + id + "/tasks/site/content")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	runtime.ReadMemStats(&after)
	require.Equal(t, int64(size), n)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

// Somebody who asks and then reads nothing doesn't hold on to the store, and one
// who reads slowly for longer than that is served to the end.
func TestContentLeavesStalledReaders(t *testing.T) {
	t.Parallel()
	store := &endless{closed: make(chan struct{})}
	b := setup(t, settings{store: store, options: httpapi.Options{StallTimeout: 300 * time.Millisecond}})
	id := b.fake(t, 1<<40)
	res, err := http.Get(b.url + "/backup/" + id + "/tasks/site/content")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 10 {
		_, err := io.CopyN(io.Discard, res.Body, 4<<20)
		require.NoError(t, err)
		<-tick.C
	}
	select {
	case <-store.closed:
	case <-time.After(20 * time.Second):
		require.Fail(t, "the store is still being read")
	}
	_, err = io.Copy(io.Discard, res.Body)
	require.Error(t, err, "it must not look whole")
}

type broken struct{ io.ReadCloser }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), 1000)])
	if err == nil && p[0] != 0 {
		return n, errors.New("connection reset")
	}
	return n, err
}

func TestContentThatBreaksOffIsNotWhole(t *testing.T) {
	t.Parallel()
	es, store := exports(), &hooked{Store: memblob.New()}
	b := setup(t, settings{store: store, exports: es})
	id := b.done(t).ID
	store.hook(func(body io.ReadCloser) (io.ReadCloser, error) { return broken{body}, nil })
	res, err := http.Get(b.url + "/backup/" + id + "/tasks/site/content")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, res.Body.Close())
	eventually(t, func() bool { return strings.Contains(b.log.String(), "download broke off") })
}

func TestContentRedirect(t *testing.T) {
	t.Parallel()
	store, err := azureblob.New(envtest.AzuriteContainer(t), nil)
	require.NoError(t, err)
	es := exports()
	b := setup(t, settings{store: store, exports: es})
	id := b.done(t).ID
	a := b.get(t, "/backup/"+id+"/tasks/site/content?redirect=true")
	require.Equal(t, http.StatusTemporaryRedirect, a.StatusCode, "%s", a.body)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	res, err := http.Get(a.Header.Get("Location"))
	require.NoError(t, err)
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.True(t, bytes.Equal(es["site"].data, data))
	require.True(t, bytes.Equal(data[7:99], b.with(t, "/backup/"+id+"/tasks/site/content", "Range", "bytes=7-98").body))
	require.NotContains(t, b.log.String(), "sig=")
}
