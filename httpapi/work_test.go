package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/jobs"
)

// source is a provider whose export is in memory.
type source struct {
	data        []byte
	contentType string
	// exportOf is what there is in place of data for a tenant, or an error; nil: data
	// is everybody's.
	exportOf func(context.Context, *backup.ExportRequest) ([]byte, error)

	mu     sync.Mutex
	paused chan struct{} // the export waits until it is closed; nil: it doesn't
}

func (s *source) pause(paused chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = paused
}

// Export is that of a provider.
func (s *source) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	s.mu.Lock()
	paused := s.paused
	s.mu.Unlock()
	if paused != nil {
		select {
		case <-paused:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	data := s.data
	if s.exportOf != nil {
		var err error
		if data, err = s.exportOf(ctx, req); err != nil {
			return nil, err
		}
	}
	return &backup.Export{Body: io.NopCloser(bytes.NewReader(data)), Size: int64(len(data)), ContentType: s.contentType}, nil
}

// random is content that no two places of are the same.
func random(size int) []byte {
	data, r := make([]byte, size), rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(data)
	return data
}

func exports() map[string]*source {
	return map[string]*source{
		"site": {data: random(300_000), contentType: "application/x-tar"},
		"db":   {data: []byte("SELECT 1;\n"), contentType: "text/html; charset=utf-8"},
	}
}

// work starts workers of the server's client, which run until the test ends or
// b.idle is called.
func (b *bundle) work(t testing.TB) {
	t.Helper()
	w, err := jobs.New(b.client, &jobs.Config{PartSize: 64 << 10})
	require.NoError(t, err)
	config := &river.Config{Logger: b.client.Logger(), FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 50 * time.Millisecond}
	require.NoError(t, w.Configure(config))
	client, err := river.NewClient(riverpgxv5.New(b.pool), config)
	require.NoError(t, err)
	require.NoError(t, client.Start(context.WithoutCancel(t.Context())))
	b.idle = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		require.NoError(t, client.StopAndCancel(ctx))
	})
	t.Cleanup(b.idle)
}

// awaits waits until the backup is as fn wants it.
func (b *bundle) awaits(t testing.TB, id string, fn func(httpapi.Backup) bool) (v httpapi.Backup) {
	t.Helper()
	eventually(t, func() bool {
		a := b.get(t, "/backup/"+id)
		require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
		v = decode[httpapi.Backup](t, a)
		return fn(v)
	})
	return v
}

func (b *bundle) awaitStatus(t testing.TB, id, status string) httpapi.Backup {
	t.Helper()
	return b.awaits(t, id, func(v httpapi.Backup) bool { return v.Status == status })
}

// started starts a backup through the API.
func (b *bundle) started(t testing.TB, body string) httpapi.Backup {
	t.Helper()
	a := b.post(t, body)
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
	return decode[httpapi.Backup](t, a)
}

// done makes a whole backup.
func (b *bundle) done(t testing.TB) httpapi.Backup {
	t.Helper()
	return b.awaitStatus(t, b.started(t, start).ID, "done")
}

// verb sends a request about a backup.
func (b *bundle) verb(t testing.TB, method, id, verb, body string) answer {
	t.Helper()
	if body == "" {
		return b.do(t, method, "/backup/"+id+verb, "", nil)
	}
	return b.do(t, method, "/backup/"+id+verb, "application/json", bytes.NewReader([]byte(body)))
}
