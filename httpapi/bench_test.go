package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// minLoadRatio is how many requests for a backup the server must answer, compared
// with a bare handler.
const minLoadRatio = 0.8

// BenchmarkGet asks for a backup over loopback, as many clients at once, and
// compares the requests per second with those of a bare huma handler that runs
// the same two statements, one after the other, and answers with the rows:
//
//	go test ./httpapi -run '^$' -bench Get -benchtime 20000x
//
// Three rounds of each take turns, and the best of each count. It fails below 0.8.
func BenchmarkGet(b *testing.B) {
	s := setup(b, settings{store: memblob.New(), exports: exports()})
	id := s.done(b).ID
	queries := s.queriesOf(b, id)
	require.Len(b, queries, 2)
	b.ResetTimer()
	bare := bareServer(b, s.pool, queries)
	var ours, floor time.Duration
	for range 3 {
		floor = least(floor, load(b, bare+"/backup/"+id))
		ours = least(ours, load(b, s.url+"/backup/"+id))
	}
	n := float64(b.N)
	ratio := float64(floor) / float64(ours)
	b.ReportMetric(float64(ours)/n, "ns/op")
	b.ReportMetric(n/ours.Seconds(), "requests/s")
	b.ReportMetric(n/floor.Seconds(), "bare-requests/s")
	b.ReportMetric(ratio, "ratio")
	if b.N >= 1000 && ratio < minLoadRatio {
		b.Errorf("the server answers %.2f of what a bare handler does; want at least %.2f", ratio, minLoadRatio)
	}
}

func least(old, took time.Duration) time.Duration {
	if old == 0 {
		return took
	}
	return min(old, took)
}

// queriesOf are the statements that read a backup, as they come to Postgres.
func (b *bundle) queriesOf(t testing.TB, id string) []string {
	t.Helper()
	trace := &selects{}
	cfg := b.pool.Config()
	cfg.ConnConfig.Tracer = trace
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer pool.Close()
	client, err := backup.New(&backup.Config{Pool: pool, Schema: b.schema})
	require.NoError(t, err)
	_, err = client.Get(t.Context(), id)
	require.NoError(t, err)
	return trace.queries
}

// selects notes the statements of batches that take arguments.
type selects struct{ queries []string }

func (s *selects) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (s *selects) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (s *selects) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (s *selects) TraceBatchQuery(_ context.Context, _ *pgx.Conn, q pgx.TraceBatchQueryData) {
	if len(q.Args) > 0 {
		s.queries = append(s.queries, q.SQL)
	}
}
func (s *selects) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// bareServer answers with the rows of the statements, and does nothing else.
func bareServer(t testing.TB, pool *pgxpool.Pool, queries []string) string {
	t.Helper()
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("bare", "1"))
	type output struct {
		Body []json.RawMessage
	}
	huma.Get(api, "/backup/{id}", func(ctx context.Context, in *struct {
		ID string `path:"id"`
	},
	) (*output, error) {
		out := &output{}
		for _, query := range queries {
			rows, err := pool.Query(ctx, query, in.ID)
			if err != nil {
				return nil, err
			}
			for rows.Next() {
				values, err := rows.Values()
				if err != nil {
					return nil, err
				}
				row, err := json.Marshal(values)
				if err != nil {
					return nil, err
				}
				out.Body = append(out.Body, row)
			}
			if rows.Err() != nil {
				return nil, rows.Err()
			}
		}
		return out, nil
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// loaders is how many clients ask at once.
const loaders = 16

// load asks b.N times, and returns how long that took.
func load(b *testing.B, url string) time.Duration {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: loaders}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	left := make(chan struct{}, b.N)
	for range b.N {
		left <- struct{}{}
	}
	close(left)
	began := time.Now()
	var all sync.WaitGroup
	for range loaders {
		all.Go(func() {
			for range left {
				res, err := client.Get(url)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					b.Errorf("answered %s", res.Status)
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}
