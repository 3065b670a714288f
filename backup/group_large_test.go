package backup_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// traceBatch notes the most bytes that one statement of a batch sends, and the most
// rows that one reads.
type traceBatch struct{ bytes, rows atomic.Int64 }

func (*traceBatch) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (tr *traceBatch) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	var sent int64
	for _, arg := range data.Args {
		if rows, ok := arg.([][]byte); ok {
			for _, row := range rows {
				sent += int64(len(row))
			}
		}
	}
	tr.bytes.Store(max(tr.bytes.Load(), sent))
	tr.rows.Store(max(tr.rows.Load(), data.CommandTag.RowsAffected()))
}

func (*traceBatch) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (*traceBatch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (*traceBatch) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// The parts and manifests of large backups aren't read and written together: 200 of
// them would be gigabytes in a statement.
func TestGroupsAreBoundedInBytes(t *testing.T) {
	b := setup(t)
	const n, parts = 5, 10_000
	ids, jobs := make([]string, n), make([]int64, n)
	for i := range ids {
		ids[i] = b.start().ID
		b.plan(ids[i], "db")
		b.finish(ids[i], "db")
		jobs[i] = b.job(ids[i], "")
		b.exec(`INSERT INTO {backup_part} (task_id, idx, part_id, size, crc64)
			SELECT t.id, g, repeat('x', 64), 1, g FROM {backup_task} t, generate_series(1, $2) g WHERE backup_id = $1`, ids[i], parts-1)
		b.exec(`UPDATE {backup_task} SET stored_parts = $2, stored_bytes = 10 + $2 - 1, size = 10 + $2 - 1 WHERE backup_id = $1`, ids[i], parts)
	}
	var tr traceBatch
	m := b.poolOf(func(cfg *pgxpool.Config) { cfg.ConnConfig.Tracer = &tr })
	seals := make([]*backup.StepWork, n)
	requireNone(t, m.together(n, func(i int) (err error) {
		seals[i], err = m.ledger.ClaimSeal(b.ctx, ids[i], claim(jobs[i]))
		return err
	}))
	var largest atomic.Int64
	errs := make([]error, n)
	var wg sync.WaitGroup
	save := func(i int) error {
		data, _, err := m.ledger.SaveManifest(b.ctx, seals[i])
		largest.Store(max(largest.Load(), int64(len(data))))
		return err
	}
	for i := range errs {
		wg.Go(func() { errs[i] = save(i) }) // not held together: they don't wait for a group
	}
	wg.Wait()
	requireNone(t, errs)
	requireNone(t, m.together(n, func(i int) error { return m.ledger.FinishSeal(b.ctx, seals[i].Lease) }))
	t.Logf("manifest of %d parts: %d bytes; the most a statement sent: %d bytes; read: %d rows", parts, largest.Load(), tr.bytes.Load(), tr.rows.Load())
	require.LessOrEqual(t, tr.bytes.Load(), largest.Load(), "one manifest at a time")
	require.LessOrEqual(t, tr.rows.Load(), int64(parts), "the parts of one backup at a time")
	for _, id := range ids {
		require.Equal(t, backup.StateDone, b.get(id).State)
	}
}
