package migrations_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

func TestMain(m *testing.M) { envtest.Main(m) }

// riverVersions is how many migrations River v0.51 has.
const riverVersions = 8

// ourVersions is how many of our own there are.
const ourVersions = 8

// connect returns a pool of at most max connections to a database.
func connect(t *testing.T, url string, max int32, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	cfg.MaxConns = max
	cfg.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// database returns a pool on an empty database.
func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return connect(t, envtest.EmptyDatabase(t), 4, nil)
}

// in is the Config of a schema, silent.
func in(schema string) *migrations.Config {
	return &migrations.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)}
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func up(t *testing.T, pool *pgxpool.Pool, config *migrations.Config) []migrations.Applied {
	t.Helper()
	applied, err := migrations.Up(t.Context(), pool, config)
	require.NoError(t, err)
	return applied
}

// watch signals each time a statement that contains part has ended.
type watch struct {
	part  string
	ended chan struct{}
}

func watchFor(part string) *watch {
	return &watch{part: part, ended: make(chan struct{}, 1000)}
}

type watchedKey struct{}

func (w *watch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !strings.Contains(data.SQL, w.part) {
		return ctx
	}
	return context.WithValue(ctx, watchedKey{}, true)
}

func (w *watch) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(watchedKey{}) != nil {
		w.ended <- struct{}{}
	}
}
