package httpapi_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// outage takes the database away from a server: from what it asks of backups, which
// are batches, and of events, which are single queries.
type outage struct {
	backups, events atomic.Bool
	hangs           atomic.Bool // queries of events, until who asked gives up
	failed          atomic.Int64
}

func (o *outage) set(backups, events bool) {
	o.backups.Store(backups)
	o.events.Store(events)
}

// trace fails what is sent as a server that isn't there does: nothing was done.
func (o *outage) trace(ctx context.Context, away bool) context.Context {
	if !away {
		return ctx
	}
	o.failed.Add(1)
	late, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	cancel()
	return late
}

func (o *outage) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if o.hangs.Load() {
		o.failed.Add(1)
		<-ctx.Done()
	}
	return o.trace(ctx, o.events.Load())
}
func (o *outage) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (o *outage) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return o.trace(ctx, o.backups.Load())
}
func (o *outage) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (o *outage) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// setupOutage serves the API, and gives a client of the same tables from which the
// database isn't taken away.
func setupOutage(t *testing.T, watch bool) (*bundle, *outage, *backup.Client) {
	t.Helper()
	o := &outage{}
	cfg, err := pgxpool.ParseConfig(envtest.Database(t))
	require.NoError(t, err)
	cfg.ConnConfig.Tracer = o
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := setup(t, settings{pool: pool, watch: watch, options: httpapi.Options{Streams: httpapi.Streams{Heartbeat: 3 * time.Second}}})
	other, err := backup.New(&backup.Config{Pool: b.pool, Schema: b.schema, Logger: b.client.Logger(), Providers: []backup.ProviderConfig{{Name: "site"}}})
	require.NoError(t, err)
	return b, o, other
}

// Who waits for a change isn't told of an outage that is over before the wait is, and
// gets the change that came in it.
func TestLongPollWaitsOutAnOutage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ watch, backups, events bool }{
		"of all":                     {false, true, true},
		"of events":                  {false, false, true},
		"of backups, told by events": {true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, o, other := setupOutage(t, test.watch)
			id := b.startOne(t)
			etag := b.get(t, "/backup/"+id).Header.Get("ETag")
			answers := make(chan answer, 1)
			go func() { answers <- b.poll(t, id, etag, "30s") }()
			requireWaiting(t, answers)
			o.set(test.backups, test.events)
			_, err := other.Cancel(t.Context(), id)
			require.NoError(t, err)
			eventually(t, func() bool { return o.failed.Load() > 0 })
			requireWaiting(t, answers)
			o.set(false, false)
			began := time.Now()
			a := <-answers
			require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
			require.Equal(t, "canceled", decode[httpapi.Backup](t, a).Status)
			require.Less(t, time.Since(began), 10*time.Second)
		})
	}
}

// An outage that lasts longer is told when the wait is over, and at once to who
// comes while it lasts.
func TestLongPollTellsOfAnOutage(t *testing.T) {
	t.Parallel()
	b, o, _ := setupOutage(t, false)
	id := b.startOne(t)
	etag := b.get(t, "/backup/"+id).Header.Get("ETag")
	answers := make(chan answer, 1)
	began := time.Now()
	go func() { answers <- b.poll(t, id, etag, "4s") }()
	requireWaiting(t, answers)
	o.set(true, true)
	now := time.Now()
	require.Equal(t, "5", requireStored(t, b.poll(t, id, etag, "30s"), 503, httpapi.CodeUnavailable).Get("Retry-After"))
	require.Less(t, time.Since(now), 2*time.Second)
	a := <-answers
	require.GreaterOrEqual(t, time.Since(began), 4*time.Second)
	require.Equal(t, "5", requireStored(t, a, 503, httpapi.CodeUnavailable).Get("Retry-After"))
}

// A stream goes on after an outage where it was: nothing is lost, nothing doubled.
func TestEventsThroughAnOutage(t *testing.T) {
	t.Parallel()
	b, o, other := setupOutage(t, false)
	id := b.startOne(t)
	s := b.follow(t, id, 0)
	s.read(t, 1)
	o.set(true, true)
	eventually(t, func() bool { return o.failed.Load() > 0 })
	b.insertEvents(t, id, 200, 0)
	_, err := other.Cancel(t.Context(), id)
	require.NoError(t, err)
	requireProblem(t, b.get(t, "/backup/"+id+"/events"), 503, httpapi.CodeUnavailable)
	o.set(false, false)
	all := s.rest(t)
	require.Len(t, all, 202)
	require.Positive(t, s.comments, "heartbeats go on meanwhile")
	for i, m := range all[:201] {
		require.Equal(t, int64(i+2), m.id)
	}
}

// A query that takes longer than a heartbeat is due doesn't end the stream.
func TestStreamOutlivesASlowQuery(t *testing.T) {
	t.Parallel()
	b, o, _ := setupOutage(t, false)
	id := b.startOne(t)
	o.hangs.Store(true)
	s := b.follow(t, id, 0)
	eventually(t, func() bool { return o.failed.Load() >= 2 })
	o.hangs.Store(false)
	require.Equal(t, []string{"1 UploadJobCreated"}, names(s.read(t, 1)))
	require.NotZero(t, s.comments)
}
