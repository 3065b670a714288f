package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// BenchmarkStartTx asks for b.N backups, each in a transaction of its own, by
// eight callers at once on two processors. No worker runs. It fails below minStarts:
//
//	go test ./jobs -run '^$' -bench StartTx -benchtime 5000x
func BenchmarkStartTx(b *testing.B) {
	s := newSide(b)
	c := s.client(nil)
	b.SetParallelism(4) // callers per processor
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := pgx.BeginFunc(b.Context(), s.pool, func(tx pgx.Tx) error {
				_, err := c.StartTx(b.Context(), tx, backup.StartParams{UserID: userID, SiteID: siteID})
				return err
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	rate := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "starts/s")
	if b.N >= minStarts && rate < minStarts {
		b.Errorf("%.0f backups asked for a second; want at least %d", rate, minStarts)
	}
}

// minStarts is how many backups must be asked for in a second, and from how many on a
// round says something.
const minStarts = 1000

// BenchmarkStartMany asks for b.N backups, a hundred per call, by one caller.
func BenchmarkStartMany(b *testing.B) {
	s := newSide(b)
	c := s.client(nil)
	b.ResetTimer()
	for left := b.N; left > 0; left -= 100 {
		ps := make([]backup.StartParams, min(left, 100))
		for i := range ps {
			ps[i] = backup.StartParams{UserID: userID, SiteID: siteID}
		}
		_, err := c.StartMany(b.Context(), ps)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
}

// BenchmarkLatency measures how long an idle process at default settings takes
// to claim a backup's planning, and its first task, after the StartTx that asked
// for it was committed:
//
//	go test ./jobs -run '^$' -bench Latency -benchtime 200x
//
// Constraint triggers note the three instants, by Postgres's clock, when each of
// the transactions is being committed. The backups come one after the other, at
// random times of the fetch cycle.
func BenchmarkLatency(b *testing.B) {
	s := newSide(b)
	s.noteCommits()
	c := s.client(nil)
	w, err := New(c, nil)
	require.NoError(b, err)
	rc := &river.Config{Logger: quietLog}
	require.NoError(b, w.Configure(rc))
	client, err := river.NewClient(riverpgxv5.New(s.river), rc)
	require.NoError(b, err)
	done, stop := client.Subscribe(river.EventKindJobCompleted)
	defer stop()
	require.NoError(b, client.Start(b.Context()))
	for range b.N {
		timer := time.NewTimer(time.Duration(rand.Int64N(int64(200 * time.Millisecond))))
		<-timer.C
		require.NoError(b, pgx.BeginFunc(b.Context(), s.pool, func(tx pgx.Tx) error {
			_, err := c.StartTx(b.Context(), tx, backup.StartParams{UserID: userID, SiteID: siteID})
			return err
		}))
		awaitSeal(b, done)
	}
	require.NoError(b, client.Stop(b.Context()))
	s.reportLatency("plan", "backup", 150*time.Millisecond, b)
	s.reportLatency("task", "backup_task", 250*time.Millisecond, b)
}

func awaitSeal(b *testing.B, done <-chan *river.Event) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	for {
		select {
		case e := <-done:
			if e.Job.Kind == backup.KindSeal {
				return
			}
		case <-ctx.Done():
			b.Fatal("the backup wasn't sealed in time")
		}
	}
}

// noteCommits makes a table of when backups were asked for and when leases were
// taken.
func (s *side) noteCommits() {
	s.Helper()
	s.exec(`CREATE TABLE {instant} (backup_id uuid, what text, at timestamptz DEFAULT clock_timestamp())`)
	s.exec(`CREATE FUNCTION {note_instant}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO {instant} (backup_id, what) VALUES (CASE TG_ARGV[0] WHEN 'backup_task' THEN to_jsonb(NEW)->>'backup_id' ELSE to_jsonb(NEW)->>'id' END::uuid, TG_ARGV[0]);
			RETURN NULL; END $$`)
	s.exec(`CREATE CONSTRAINT TRIGGER bench_asked AFTER INSERT ON {backup} DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION {note_instant}('asked')`)
	for _, table := range []string{"backup", "backup_task"} {
		s.exec(fmt.Sprintf(`CREATE CONSTRAINT TRIGGER bench_claimed AFTER UPDATE ON {%s} DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW WHEN (OLD.lease_token IS NULL AND NEW.lease_token IS NOT NULL) EXECUTE FUNCTION {note_instant}('%s')`, table, table))
	}
}

// reportLatency reports the time from the commit of the request to that of the
// first claim in a table.
func (s *side) reportLatency(name, table string, limit time.Duration, b *testing.B) {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), s.in(`
		SELECT min(c.at) - min(a.at) FROM {instant} a JOIN {instant} c USING (backup_id)
		WHERE a.what = 'asked' AND c.what = $1 GROUP BY backup_id`), table)
	require.NoError(s, err)
	took, err := pgx.CollectRows(rows, pgx.RowTo[time.Duration])
	require.NoError(s, err)
	require.Len(s, took, b.N)
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	b.Logf("commit of StartTx to the claim of the %s: p50 %s, p99 %s, max %s", name, p50, p99, took[len(took)-1])
	b.ReportMetric(p50.Seconds()*1000, name+"-p50-ms")
	b.ReportMetric(p99.Seconds()*1000, name+"-p99-ms")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, name+"-max-ms")
	if b.N >= judged && p99 > limit {
		b.Errorf("p99 of the %s's claim is %s; want at most %s", name, p99, limit)
	}
}
