package main_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/env"
)

// What a worker talks to. Each worker has a proxy of its own to each, so that
// one can be cut off while the others go on.
const (
	toPostgres = "postgres"
	toStore    = "store"
	toSources  = "sources"
)

var targets = []string{toPostgres, toStore, toSources}

const chaosContainer = "chaos"

// world is all that the workers of the chaos test need: a Postgres and an Azurite
// that are this test's own, so that they can be stopped, and the sources.
type world struct {
	t    testing.TB
	seed uint64

	mu       sync.Mutex // held while one of the two is away
	postgres *env.Postgres
	pgOpts   *env.PostgresOptions
	azurite  *env.Azurite
	azOpts   *env.AzuriteOptions

	upstream map[string]string // by target: host and port
	toxi     *toxiproxy.ApiServer
	pool     *pgxpool.Pool // of the test, past the proxies
	client   *backup.Client
	store    blob.Store
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	w := &world{t: t, seed: seed, upstream: make(map[string]string)}
	w.pgOpts = &env.PostgresOptions{Ways: []env.Way{env.Installed, env.Fetched}, Dir: postgresDir(t), Fast: true}
	w.azOpts = &env.AzuriteOptions{Ways: []env.Way{env.Fetched}, Dir: t.TempDir()}
	require.NoError(t, orSkip(t, atStablePort(func(port int) error {
		w.pgOpts.Port = port
		return w.startPostgres()
	})))
	require.NoError(t, orSkip(t, atStablePort(func(port int) error {
		w.azOpts.Port = port
		return w.startAzurite()
	})))
	t.Cleanup(func() {
		require.NoError(t, w.postgres.Close())
		require.NoError(t, w.azurite.Close())
	})
	u, err := url.Parse(w.postgres.URL)
	require.NoError(t, err)
	w.upstream[toPostgres] = u.Host
	w.upstream[toStore] = net.JoinHostPort("127.0.0.1", strconv.Itoa(w.azOpts.Port))

	var handlers []*export.Handler
	for _, o := range chaosSources {
		o.Behavior = behavior(seed, o)
		handlers = append(handlers, export.NewHandler(o))
	}
	server := httptest.NewServer(export.NewServeMux(handlers...))
	t.Cleanup(server.Close)
	w.upstream[toSources] = strings.TrimPrefix(server.URL, "http://")

	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics write to the global logger
	w.toxi = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w.openClient()
	return w
}

// orSkip is err, or skips the test where a service can't be had and that is
// allowed.
func orSkip(t testing.TB, err error) error {
	t.Helper()
	if err != nil && os.Getenv("BACKUP_TEST_NO_SKIP") != "1" {
		t.Skip(err)
	}
	return err
}

// openClient makes what the test itself asks and looks with.
func (w *world) openClient() {
	w.t.Helper()
	status, _, stderr := runs(w.t, []string{"DATABASE_URL=" + w.postgres.URL}, "migrate", "up")
	require.Zero(w.t, status, stderr)
	var err error
	w.pool, err = pgxpool.New(w.t.Context(), w.postgres.URL)
	require.NoError(w.t, err)
	w.t.Cleanup(w.pool.Close)
	c, err := container.NewClientFromConnectionString(w.azurite.ConnectionString, chaosContainer, azureblob.ClientOptions())
	require.NoError(w.t, err)
	_, err = c.Create(w.t.Context(), nil)
	require.NoError(w.t, err)
	w.store, err = azureblob.New(c, nil)
	require.NoError(w.t, err)
	w.client, err = backup.New(&backup.Config{Pool: w.pool, Store: w.store, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(w.t, err)
}

func (w *world) startPostgres() error {
	p, err := env.StartPostgres(context.Background(), w.pgOpts)
	if err == nil {
		w.postgres = p
	}
	return err
}

func (w *world) startAzurite() error {
	a, err := env.StartAzurite(context.Background(), w.azOpts)
	if err == nil {
		w.azurite = a
	}
	return err
}

// restartPostgres stops it, and starts it again on the same data after a while.
func (w *world) restartPostgres(ctx context.Context, away time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.postgres.Close(); err != nil {
		return err
	}
	pause(ctx, away)
	return again(context.WithoutCancel(ctx), w.startPostgres)
}

// restartAzurite does the same, with SIGTERM: Azurite saves on it.
func (w *world) restartAzurite(ctx context.Context, away time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.azurite.Close(); err != nil {
		return err
	}
	pause(ctx, away)
	return again(context.WithoutCancel(ctx), w.startAzurite)
}

// proxy makes the way of one worker to a target.
func (w *world) proxy(name, target string) *toxiproxy.Proxy {
	w.t.Helper()
	var p *toxiproxy.Proxy
	require.NoError(w.t, atStablePort(func(port int) error {
		p = toxiproxy.NewProxy(w.toxi, name, fmt.Sprintf("127.0.0.1:%d", port), w.upstream[target])
		return p.Start()
	}))
	w.t.Cleanup(p.Stop)
	return p
}

// through is a database URL by way of another address, under a name that
// pg_stat_activity shows.
func (w *world) through(addr, name string) string {
	w.t.Helper()
	u, err := url.Parse(w.postgres.URL)
	require.NoError(w.t, err)
	u.Host = addr
	q := u.Query()
	q.Set("application_name", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// pause waits, and reports whether ctx lived that long.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
