package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// minRatio is how fast the job layer must be, compared with its floor.
const minRatio = 0.4

// judged is from how many backups on a round says something.
const judged = 100

// BenchmarkJobLayer takes b.N backups of three tiny tasks from StartTx through
// the whole state machine to their manifest, on one process and one Postgres:
//
//	go test ./jobs -run '^$' -bench JobLayer -benchtime 2000x -v
//
// It fails where that is less than 0.4 times as fast as the floor: the same
// River jobs, each with one bare statement at its beginning and one at its end.
// Three rounds of each take turns, and the best of each count. A last round,
// which doesn't count, lists the statements.
func BenchmarkJobLayer(b *testing.B) {
	f, l := newFloor(newSide(b)), newLayer(newSide(b))
	warm := min(b.N, judged)
	f.run(warm)
	l.run(warm)
	best := func(old, took time.Duration) time.Duration {
		if old == 0 {
			return took
		}
		return min(old, took)
	}
	var bare, ours time.Duration
	var spent cpu
	for range 3 {
		bare = best(bare, f.run(b.N))
		before := l.cpu()
		took := l.run(b.N)
		if ours = best(ours, took); ours == took {
			after := l.cpu()
			spent = cpu{after.program - before.program, after.postgres - before.postgres}
		}
	}
	n := float64(b.N)
	ratio := float64(bare) / float64(ours)
	b.ReportMetric(float64(ours)/n, "ns/op")
	b.ReportMetric(n/ours.Seconds(), "backups/s")
	b.ReportMetric(n/bare.Seconds(), "floor-backups/s")
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(spent.program.Seconds()*1000/n, "go-cpu-ms/op")
	b.ReportMetric(spent.postgres.Seconds()*1000/n, "pg-cpu-ms/op")

	l.trace.on.Store(true)
	l.run(b.N)
	l.trace.on.Store(false)
	b.ReportMetric(l.trace.perBackup(b.N), "trips/op")
	if b.N >= judged {
		b.Logf("%d backups in %.2f s, the floor in %.2f s: %.0f and %.0f backups/s, ratio %.2f; CPU ms per backup: this process %.2f, Postgres %.2f",
			b.N, ours.Seconds(), bare.Seconds(), n/ours.Seconds(), n/bare.Seconds(), ratio, spent.program.Seconds()*1000/n, spent.postgres.Seconds()*1000/n)
		b.Log(l.trace.table(b.N))
		if ratio < minRatio {
			b.Errorf("the job layer runs at %.2f of its floor; want at least %.2f", ratio, minRatio)
		}
	}
}

// layer is the job layer as the benchmarks run it.
type layer struct {
	*side
	client *backup.Client
}

func newLayer(s *side) *layer {
	return &layer{s, s.client(func(p *backup.ProviderConfig) { p.MaxWorkers = benchWorkers })}
}

// run takes n backups from StartTx to done.
func (l *layer) run(n int) time.Duration {
	l.Helper()
	w, err := New(l.client, &Config{ControlWorkers: benchWorkers})
	require.NoError(l, err)
	rc := &river.Config{Logger: quietLog, FetchCooldown: benchCooldown}
	require.NoError(l, w.Configure(rc))
	before := l.done()
	took := l.side.run(rc, n, func(ctx context.Context, _ *river.Client[pgx.Tx]) error {
		return l.ask(ctx, n, func(ctx context.Context, tx pgx.Tx, _ int) error {
			_, err := l.client.StartTx(ctx, tx, backup.StartParams{UserID: userID, SiteID: siteID})
			return err
		})
	})
	require.Equal(l, n, l.done()-before)
	return took
}

func (l *layer) done() (n int) {
	l.Helper()
	err := l.pool.QueryRow(l.Context(), l.in(`SELECT count(*) FROM {backup} WHERE state = 'done'`)).Scan(&n)
	require.NoError(l, err)
	return n
}
