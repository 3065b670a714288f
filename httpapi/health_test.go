package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

type ready struct {
	Status string
	Checks map[string]string
}

func requireReady(t testing.TB, a answer, status int, checks map[string]string) {
	t.Helper()
	require.Equal(t, status, a.StatusCode)
	want := ready{"ready", checks}
	if status != http.StatusOK {
		want.Status = "unavailable"
		require.Equal(t, "5", a.Header.Get("Retry-After"))
	}
	require.Equal(t, want, decode[ready](t, a))
}

func TestReady(t *testing.T) {
	t.Parallel()
	var checks atomic.Int32
	b := setup(t, settings{store: checkedStore{check: func(context.Context) error { checks.Add(1); return nil }}})
	var probes sync.WaitGroup
	for range 5 {
		probes.Go(func() {
			requireReady(t, b.get(t, "/readyz"), 200, map[string]string{"database": "ok", "migrations": "ok", "store": "ok"})
		})
	}
	probes.Wait()
	require.EqualValues(t, 1, checks.Load(), "the store is asked once in a while only")
	require.NotContains(t, b.log.String(), "level=INFO msg=request")
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	t.Run("store", func(t *testing.T) {
		b := setup(t, settings{store: checkedStore{check: func(context.Context) error { return errors.New("no such container") }}})
		requireReady(t, b.get(t, "/readyz"), 503, map[string]string{"database": "ok", "migrations": "ok", "store": "failed"})
		require.Contains(t, b.log.String(), "no such container")
		require.Equal(t, http.StatusOK, b.get(t, "/healthz").StatusCode)
	})
	t.Run("migrations", func(t *testing.T) {
		b := setup(t, settings{raw: true})
		requireReady(t, b.get(t, "/readyz"), 503, map[string]string{"database": "ok", "migrations": "failed"})
		require.Contains(t, b.log.String(), "backupd migrate up")
	})
	t.Run("database", func(t *testing.T) {
		b := setup(t, settings{pool: unreachable(t)})
		requireReady(t, b.get(t, "/readyz"), 503, map[string]string{"database": "failed"})
		require.NotContains(t, b.log.String(), "hunter2")
		require.Equal(t, http.StatusOK, b.get(t, "/healthz").StatusCode)
	})
}

// A store that hangs, and heeds no deadline, holds up no probe for longer than
// the others' deadline, and is asked once.
func TestNotReadyWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	var checks atomic.Int32
	hang := make(chan struct{})
	b := setup(t, settings{store: checkedStore{check: func(context.Context) error { checks.Add(1); <-hang; return nil }}})
	defer close(hang)
	began := time.Now()
	var probes sync.WaitGroup
	for range 3 {
		probes.Go(func() {
			requireReady(t, b.get(t, "/readyz"), 503, map[string]string{"database": "ok", "migrations": "ok", "store": "failed"})
		})
	}
	probes.Wait()
	require.Less(t, time.Since(began), 15*time.Second)
	require.EqualValues(t, 1, checks.Load())
	require.Contains(t, b.log.String(), "the store has not answered in 5s")
}

// queries counts what a pool is asked.
type queries struct{ n atomic.Int32 }

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	q.n.Add(1)
	return ctx
}

func (*queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Anybody may ask whether the server is ready, and the database doesn't notice.
func TestReadyAsksTheDatabaseOnceInAWhile(t *testing.T) {
	t.Parallel()
	q, fixture := &queries{}, setup(t, settings{})
	cfg := fixture.pool.Config()
	cfg.ConnConfig.Tracer = q
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	client, err := backup.New(&backup.Config{Pool: pool, Schema: fixture.schema, Providers: []backup.ProviderConfig{{Name: "site"}}})
	require.NoError(t, err)
	handler, err := httpapi.NewHandler(client, nil)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	b := &bundle{url: server.URL}
	const probes = 200
	var all sync.WaitGroup
	for range probes {
		all.Go(func() {
			requireReady(t, b.get(t, "/readyz"), 200, map[string]string{"database": "ok", "migrations": "ok"})
		})
	}
	all.Wait()
	require.Positive(t, q.n.Load())
	require.Less(t, q.n.Load(), int32(probes/4))
}
