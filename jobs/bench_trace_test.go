package jobs

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// statements counts what the clients of Postgres send while on is set. A batch
// is one round trip of several statements.
type statements struct {
	on atomic.Bool

	mu    sync.Mutex
	seen  map[string]*statement
	trips int
}

type statement struct {
	text  string
	calls int
	took  time.Duration
}

type traceKey struct{}

type traced struct {
	text  string
	began time.Time
}

// TraceQueryStart is pgx's.
func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if !s.on.Load() {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, traced{d.SQL, now()})
}

// TraceQueryEnd is pgx's.
func (s *statements) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if t, ok := ctx.Value(traceKey{}).(traced); ok {
		s.add(t.text, now().Sub(t.began), 1)
	}
}

// TraceBatchStart is pgx's.
func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	if !s.on.Load() {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, traced{"(batch)", now()})
}

// TraceBatchQuery is pgx's.
func (s *statements) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	if s.on.Load() {
		s.add("(in a batch) "+d.SQL, 0, 0)
	}
}

// TraceBatchEnd is pgx's.
func (s *statements) TraceBatchEnd(ctx context.Context, c *pgx.Conn, _ pgx.TraceBatchEndData) {
	s.TraceQueryEnd(ctx, c, pgx.TraceQueryEndData{})
}

func (s *statements) add(text string, took time.Duration, trips int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string]*statement)
	}
	st := s.seen[text]
	if st == nil {
		st = &statement{text: text}
		s.seen[text] = st
	}
	st.calls++
	st.took += took
	s.trips += trips
}

var (
	spaces    = regexp.MustCompile(`\s+`)
	riverName = regexp.MustCompile(`-- name: (\w+)`)
)

// short is a statement as a line of the table.
func (st *statement) short() string {
	if m := riverName.FindStringSubmatch(st.text); m != nil {
		return "River: " + m[1]
	}
	line := strings.TrimSpace(spaces.ReplaceAllString(st.text, " "))
	return line[:min(len(line), 110)]
}

// table lists the statements by the time that they took, per one of n backups.
func (s *statements) table(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(s.seen), func(a, b *statement) int { return cmp.Compare(b.took, a.took) })
	var sb strings.Builder
	fmt.Fprintf(&sb, "%.1f round trips per backup\n%8s %8s %8s\n", s.perBackup(n), "calls", "ms", "ms/call")
	for _, st := range all {
		ms := float64(st.took) / 1e6
		if st.calls*20 < n && ms < float64(n)/20 {
			continue
		}
		fmt.Fprintf(&sb, "%8.2f %8.3f %8.3f  %s\n", float64(st.calls)/float64(n), ms/float64(n), ms/float64(st.calls), st.short())
	}
	return sb.String()
}

// perBackup is how many round trips one of n backups took.
func (s *statements) perBackup(n int) float64 { return float64(s.trips) / float64(n) }

// cpu is the time that this process and Postgres have spent on the CPUs. Zero
// where it can't be read: on another system than Linux, or for a server
// elsewhere.
type cpu struct{ program, postgres time.Duration }

func (s *side) cpu() (c cpu) {
	s.Helper()
	c.program = cpuOf(os.Getpid(), "")
	rows, err := s.pool.Query(s.Context(), `SELECT pid FROM pg_stat_activity`)
	require.NoError(s, err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(s, err)
	for _, pid := range pids {
		c.postgres += cpuOf(pid, "postgres")
	}
	return c
}

// tick is the unit of /proc/*/stat.
const tick = 10 * time.Millisecond

// cpuOf is the CPU time of a process of that name.
func cpuOf(pid int, name string) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	head, tail, ok := strings.Cut(string(raw), ") ")
	fields := strings.Fields(tail)
	if !ok || len(fields) < 13 || !strings.HasSuffix(head, name) {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}
