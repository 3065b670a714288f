package jobs

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// stopper stops the process behind a round trip to Postgres: a statement, or a
// batch of them, of which Postgres has done all when the first is answered.
type stopper struct {
	c    *child
	pool string
}

// trip is a round trip under way.
type trip struct {
	text  string
	named bool // StopBy is in one of its statements, which found or changed rows
}

type tripKey struct{}

func (s *stopper) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, tripKey{}, &trip{text: data.SQL})
}

func (s *stopper) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	t, _ := ctx.Value(tripKey{}).(*trip)
	s.saw(t, t.text, data.CommandTag)
	s.passed(t, conn)
}

func (s *stopper) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return context.WithValue(ctx, tripKey{}, &trip{text: "(batch) "})
}

func (s *stopper) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	t, _ := ctx.Value(tripKey{}).(*trip)
	t.text += data.SQL + "; "
	s.saw(t, data.SQL, data.CommandTag)
}

func (s *stopper) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchEndData) {
	t, _ := ctx.Value(tripKey{}).(*trip)
	s.passed(t, conn)
}

func (s *stopper) saw(t *trip, sql string, tag pgconn.CommandTag) {
	t.named = t.named || (s.c.StopBy != "" && tag.RowsAffected() > 0 && strings.Contains(sql, s.c.StopBy))
}

// passed counts a round trip, and stops the process behind the one that is meant.
func (s *stopper) passed(t *trip, conn *pgx.Conn) {
	n := s.c.trips.Add(1)
	where := fmt.Sprintf("%s's round trip %d, transaction %c: %.100s", s.pool, n, conn.PgConn().TxStatus(), strings.Join(strings.Fields(t.text), " "))
	if s.c.Tells {
		fmt.Println("passed trip", where)
	}
	if n == s.c.StopAt || t.named {
		s.c.stop(where)
	}
}

// A process that is stopped behind a round trip may be stopped before and after
// every step of a backup: tripsOfOne of them reach all, and some of the ledger's
// lead to each.
func TestStopPointsReachEveryStep(t *testing.T) {
	dir := t.TempDir()
	b := setup(t, setupOptions{store: fileStoreIn(dir), apis: []export.Options{{Name: "site", Size: zombieSize}}})
	id := b.start()
	p := b.spawnChild(&child{Dir: dir, Tells: true})
	b.wait(id)
	b.eventually("the last step", 10*time.Second, func() bool { return len(p.said.all("passed step")) == len(zombieSteps) })
	require.NoError(t, p.input.Close())
	require.NoError(t, p.Wait())

	require.Equal(t, zombieSteps, p.said.all("passed step"))
	var trips, own, batches int
	ofLedger := make(map[string]int) // by the step that follows
	for _, point := range p.said.all("passed") {
		kind, what, _ := strings.Cut(point, " ")
		if kind == "step" {
			if what != "commit" { // which is the store's alone
				require.NotZero(t, ofLedger[""], "round trips of the ledger before the step %s", what)
			}
			ofLedger[what], ofLedger[""] = ofLedger[""], 0
			if what == "seal" {
				t.Logf("%d round trips until the last step, %d the ledger's, %d of all batches; of the ledger by the step that follows: %v", trips, own, batches, ofLedger)
				require.LessOrEqual(t, own, tripsOfOne) // River's look for jobs as long as it takes
				require.GreaterOrEqual(t, trips, tripsOfOne/2, "most of them are used")
			}
			continue
		}
		trips++
		if strings.HasPrefix(what, "ledger's ") {
			ofLedger[""]++
			own++
		}
		if strings.Contains(what, ": (batch) ") {
			batches++
		}
	}
	require.NotZero(t, batches)
}
