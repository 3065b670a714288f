package jobs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/internal/memblob"
	"github.com/sitebackup/sitebackup/migrations"
)

// benchProviders are the tasks of a backup in the benchmarks.
var benchProviders = []string{"a", "b", "c"}

// What both sides of the comparison run with: the cooldown that Configure sets,
// and more workers than by default. River's own cooldown, 100 ms, and few workers
// per queue bound the jobs per second before the job layer does.
const (
	benchWorkers  = 100 // MaxWorkers of each queue
	benchCooldown = fetchCooldown
	benchCallers  = 4  // goroutines that ask for backups, one per transaction
	benchPool     = 16 // connections for our own statements
	benchRiver    = 8  // connections of River's client
)

// side is a schema of the benchmark's Postgres, with pools on it: one of the two
// sides that are compared, or the only one.
type side struct {
	testing.TB
	schema string
	pool   *pgxpool.Pool // of the job layer, or of the floor's statements
	river  *pgxpool.Pool // of River's client
	trace  *statements
}

func newSide(tb testing.TB) *side {
	tb.Helper()
	base, schema := envtest.Schema(tb)
	s := &side{TB: tb, schema: schema, trace: new(statements)}
	s.pool, s.river = s.open(base, benchPool), s.open(base, benchRiver)
	_, err := migrations.Up(tb.Context(), base, &migrations.Config{Schema: schema, Logger: quietLog})
	require.NoError(tb, err)
	return s
}

var quietLog = slog.New(slog.NewTextHandler(io.Discard, nil))

func (s *side) open(base *pgxpool.Pool, conns int32) *pgxpool.Pool {
	cfg := base.Config()
	cfg.MaxConns, cfg.ConnConfig.Tracer = conns, s.trace
	pool, err := pgxpool.NewWithConfig(s.Context(), cfg)
	require.NoError(s, err)
	s.Cleanup(pool.Close)
	return pool
}

func (s *side) exec(query string, args ...any) {
	s.Helper()
	_, err := s.pool.Exec(s.Context(), s.in(query), args...)
	require.NoError(s, err)
}

func (s *side) in(query string) string { return (&bundle{schema: s.schema}).in(query) }

// client is a backup.Client on this side, with providers of a few bytes.
func (s *side) client(change func(*backup.ProviderConfig)) *backup.Client {
	s.Helper()
	cfg := &backup.Config{Pool: s.pool, Schema: s.schema, Store: memblob.New(), Logger: quietLog}
	for _, name := range benchProviders {
		p := backup.ProviderConfig{Name: name, Provider: tiny{}}
		if change != nil {
			change(&p)
		}
		cfg.Providers = append(cfg.Providers, p)
	}
	c, err := backup.New(cfg)
	require.NoError(s, err)
	return c
}

// ended counts the jobs of a kind whose work has ended well.
type ended struct {
	kind string

	mu   sync.Mutex
	left int
	all  chan struct{}
	err  error
}

func newEnded(kind string, n int) *ended {
	return &ended{kind: kind, left: n, all: make(chan struct{})}
}

func (e *ended) middleware() rivertype.WorkerMiddleware {
	return river.WorkerMiddlewareFunc(func(ctx context.Context, job *rivertype.JobRow, inner func(context.Context) error) error {
		err := inner(ctx)
		if err != nil || job.Kind == e.kind {
			e.note(err)
		}
		return err
	})
}

func (e *ended) note(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = errors.Join(e.err, err)
	if e.left--; e.left == 0 || err != nil && e.left > 0 {
		e.left = 0
		close(e.all)
	}
}

// patience bounds one round of a benchmark.
const patience = 3 * time.Minute

func (e *ended) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-e.all:
		return e.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run starts a River client with rc, lets ask run, waits until all n seals have
// ended, and returns how long that took. The client's start and stop don't
// count.
func (s *side) run(rc *river.Config, n int, ask func(ctx context.Context, client *river.Client[pgx.Tx]) error) time.Duration {
	s.Helper()
	all := newEnded(backup.KindSeal, n)
	rc.Middleware = append(rc.Middleware, all.middleware())
	client, err := river.NewClient(riverpgxv5.New(s.river), rc)
	require.NoError(s, err)
	require.NoError(s, client.Start(s.Context()))
	began := now()
	require.NoError(s, ask(s.Context(), client))
	require.NoError(s, all.wait(s.Context()))
	took := now().Sub(began)
	require.NoError(s, client.Stop(s.Context()))
	return took
}

// ask runs fn n times in a transaction of its own each, by several callers.
func (s *side) ask(ctx context.Context, n int, fn func(ctx context.Context, tx pgx.Tx, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(benchCallers)
	for i := range n {
		group.Go(func() error {
			return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return fn(ctx, tx, i) })
		})
	}
	return group.Wait()
}
