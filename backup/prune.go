package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// KindPrune is the River kind that removes what is kept for a time only.
const KindPrune = "backup_prune"

// PruneArgs are the args of the periodic River job that removes what has been kept for
// long enough.
type PruneArgs struct{}

// Kind is KindPrune.
func (PruneArgs) Kind() string { return KindPrune }

// Keep says how long the rows are kept that backups and schedules leave behind them. A
// zero field is its default, Forever keeps all.
type Keep struct {
	// Details is how long the events, the attempts and the journals of a backup are
	// kept behind its end, or behind a later event of it, such as that of a
	// verification. The last event stays, and so do all the backup's other
	// fields and its manifest, as long as the backup. At least 7 days, in which a
	// retry goes on where the journal ends, and Config.MaxSkew. Defaults to 30 days.
	Details time.Duration

	// Runs is how long the history of a schedule's slots is kept. The last run stays,
	// and so do a slot that waits and the skips that still go on. Defaults to 90 days.
	Runs time.Duration

	// Alerts is how long the events of a schedule are kept. Defaults to 90 days.
	Alerts time.Duration

	// Receipts is how long the receipts of erasures are kept. Defaults to 3 years.
	Receipts time.Duration
}

// Forever is the time for which what is never to be removed is kept.
const Forever time.Duration = -1

const (
	day = 24 * time.Hour

	minDetails = 7 * day // parts that are staged live for 6
)

func (k *Keep) defaults(maxSkew time.Duration) error {
	for _, f := range []struct {
		name            string
		value           *time.Duration
		normally, least time.Duration
	}{
		{"Details", &k.Details, max(30*day, maxSkew), max(minDetails, maxSkew)},
		{"Runs", &k.Runs, 90 * day, day},
		{"Alerts", &k.Alerts, 90 * day, day},
		{"Receipts", &k.Receipts, 3 * 365 * day, day},
	} {
		if *f.value == 0 {
			*f.value = f.normally
		}
		if *f.value != Forever && *f.value < f.least {
			return fmt.Errorf("Keep.%s must be at least %s, or Forever", f.name, f.least)
		}
	}
	return nil
}

// Pruned counts what a call of Prune, or several, removed.
type Pruned struct {
	Backups   int `json:"backups"` // whose details were
	Runs      int `json:"runs"`
	Alerts    int `json:"alerts"`
	Receipts  int `json:"receipts"`
	Schedules int `json:"schedules"` // policies of deleted ones that have no backup any more
	Keys      int `json:"keys"`
}

// Add adds another call's.
func (p *Pruned) Add(o Pruned) {
	p.Backups, p.Runs, p.Alerts, p.Receipts = p.Backups+o.Backups, p.Runs+o.Runs, p.Alerts+o.Alerts, p.Receipts+o.Receipts
	p.Schedules, p.Keys = p.Schedules+o.Schedules, p.Keys+o.Keys
}

const (
	pruneBackups = 500    // of a transaction at most
	pruneDetails = 20_000 // rows of events and parts of a transaction, but for those of the one backup that has more
)

// Prune removes what Config.Keep doesn't keep any more, and idempotency keys that have
// expired: up to limit rows of each kind, each kind in a transaction of its own. More
// says that there is more. An error with one kind doesn't keep the others from being
// pruned. Many processes may call it at once.
func (l *Ledger) Prune(ctx context.Context, limit int) (done Pruned, more bool, err error) {
	if l.c.cfg.Pool == nil {
		return done, false, errNoPool
	}
	now, err := l.c.now(ctx, l.c.cfg.Pool)
	if err != nil {
		return done, false, err
	}
	var errs []error
	for _, kind := range []struct {
		count *int
		keep  time.Duration
		prune func(ctx context.Context, before time.Time, limit int) (n int, more bool, err error)
	}{
		{&done.Backups, l.c.cfg.Keep.Details, l.pruneDetails},
		{&done.Runs, l.c.cfg.Keep.Runs, l.pruneRuns},
		{&done.Alerts, l.c.cfg.Keep.Alerts, l.pruneAlerts},
		{&done.Receipts, l.c.cfg.Keep.Receipts, l.pruneReceipts},
		{&done.Schedules, 0, l.pruneSchedules},
		{&done.Keys, 0, l.pruneKeys},
	} {
		if kind.keep == Forever {
			continue
		}
		n, again, err := kind.prune(ctx, now.Add(-kind.keep), limit)
		if err != nil {
			errs = append(errs, fmt.Errorf("prune: %w", err))
			continue
		}
		*kind.count, more = n, more || again
	}
	return done, more, errors.Join(errs...)
}

// pruneDetails takes backups that nobody else has locked, and whose details are no more
// than a transaction should remove.
func (l *Ledger) pruneDetails(ctx context.Context, before time.Time, limit int) (n int, more bool, err error) {
	limit = min(limit, pruneBackups)
	err = l.c.inTx(ctx, func(tx pgx.Tx) error {
		ids, all, err := l.c.lockUnpruned(ctx, tx, before, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		n, more = len(ids), len(ids) < all || all == limit
		return l.c.dropDetails(ctx, tx, ids)
	})
	return n, more, err
}

// lockUnpruned returns which are to be pruned now, out of how many.
func (c *Client) lockUnpruned(ctx context.Context, tx pgx.Tx, before time.Time, limit int) (ids []string, all int, err error) {
	rows, err := tx.Query(ctx, c.sql(`
		WITH b AS (SELECT id, event_seq, greatest(finished_at, late_event_at) AS since FROM {{schema}}.backup
			WHERE pruned_at IS NULL AND finished_at IS NOT NULL AND greatest(finished_at, late_event_at) < @before
			ORDER BY greatest(finished_at, late_event_at) LIMIT @limit FOR NO KEY UPDATE SKIP LOCKED)
		SELECT b.id::text, b.event_seq + coalesce((SELECT sum(stored_parts) FROM {{schema}}.backup_task t WHERE t.backup_id = b.id), 0)
		FROM b ORDER BY b.since`), named{"before": before, "limit": limit})
	if err != nil {
		return nil, 0, fmt.Errorf("lock backups: %w", err)
	}
	var id string
	var details, sum int64
	_, err = pgx.ForEachRow(rows, []any{&id, &details}, func() error {
		all++
		if sum += details; sum <= pruneDetails || len(ids) == 0 {
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("lock backups: %w", err)
	}
	return ids, all, nil
}

// dropDetails removes what tells how the backups came about. A task that isn't done
// begins again at its first byte if it is ever retried: its parts aren't staged any
// more. The last event stays, so that whoever reads events sees what became of the
// backup.
func (c *Client) dropDetails(ctx context.Context, tx pgx.Tx, ids []string) error {
	args := named{"ids": ids}
	var batch pgx.Batch
	batch.Queue(c.sql(`DELETE FROM {{schema}}.backup_part WHERE task_id IN (SELECT id FROM {{schema}}.backup_task WHERE backup_id = ANY(@ids::uuid[]))`), args)
	batch.Queue(c.sql(`UPDATE {{schema}}.backup_task SET attempts = '[]', hash_state = NULL WHERE backup_id = ANY(@ids::uuid[]) AND state = 'done'`), args)
	batch.Queue(c.sql(`UPDATE {{schema}}.backup_task SET attempts = '[]', hash_state = NULL, announced_sha256 = NULL, cursor = '', validator = '', staged_at = NULL,
			stored_bytes = 0, stored_parts = 0, from_bytes = 0, size = NULL, sha256 = NULL, proof = NULL, capture_started_at = NULL, capture_finished_at = NULL
		WHERE backup_id = ANY(@ids::uuid[]) AND state <> 'done'`), args)
	batch.Queue(c.sql(`DELETE FROM {{schema}}.backup_event e USING {{schema}}.backup b WHERE b.id = ANY(@ids::uuid[]) AND e.backup_id = b.id AND e.seq < b.event_seq`), args)
	batch.Queue(c.sql(`UPDATE {{schema}}.backup SET pruned_at = coalesce(@now, now()) WHERE id = ANY(@ids::uuid[])`), named{"ids": ids, "now": c.injected()})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("remove details: %w", err)
	}
	return nil
}

// pruneRuns leaves a schedule what a tick may write to, and what it did last.
func (l *Ledger) pruneRuns(ctx context.Context, before time.Time, limit int) (n int, more bool, err error) {
	return l.drop(ctx, limit, `DELETE FROM {{schema}}.backup_schedule_run WHERE (schedule_id, slot) IN (
		SELECT r.schedule_id, r.slot FROM {{schema}}.backup_schedule_run r JOIN {{schema}}.backup_schedule s ON s.id = r.schedule_id
		WHERE r.at < @before AND r.status <> 'queued' AND r.last_slot < s.last_slot AND r.slot IS DISTINCT FROM s.open_skip_slot
		ORDER BY r.at LIMIT @limit FOR UPDATE OF r SKIP LOCKED)`, named{"before": before, "limit": limit})
}

func (l *Ledger) pruneAlerts(ctx context.Context, before time.Time, limit int) (n int, more bool, err error) {
	return l.drop(ctx, limit, `DELETE FROM {{schema}}.backup_schedule_event WHERE (schedule_id, seq) IN (
		SELECT schedule_id, seq FROM {{schema}}.backup_schedule_event WHERE created_at < @before ORDER BY created_at LIMIT @limit FOR UPDATE SKIP LOCKED)`,
		named{"before": before, "limit": limit})
}

func (l *Ledger) pruneReceipts(ctx context.Context, before time.Time, limit int) (n int, more bool, err error) {
	return l.drop(ctx, limit, `DELETE FROM {{schema}}.backup_erasure WHERE id IN (
		SELECT id FROM {{schema}}.backup_erasure WHERE finished_at < @before LIMIT @limit FOR UPDATE SKIP LOCKED)`,
		named{"before": before, "limit": limit})
}

// pruneSchedules takes what no backup refers to. A schedule that is deleted starts none any more.
func (l *Ledger) pruneSchedules(ctx context.Context, _ time.Time, limit int) (n int, more bool, err error) {
	return l.drop(ctx, limit, `DELETE FROM {{schema}}.backup_schedule_gone WHERE id IN (
		SELECT g.id FROM {{schema}}.backup_schedule_gone g
		WHERE NOT EXISTS (SELECT FROM {{schema}}.backup b WHERE b.schedule_id = g.id)
		LIMIT @limit FOR UPDATE OF g SKIP LOCKED)`, named{"limit": limit})
}

func (l *Ledger) pruneKeys(ctx context.Context, _ time.Time, limit int) (n int, more bool, err error) {
	n, err = l.DropExpiredKeys(ctx, limit)
	return n, n == limit, err
}

// drop runs a statement that removes up to limit rows.
func (l *Ledger) drop(ctx context.Context, limit int, statement string, args named) (n int, more bool, err error) {
	tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(statement), args)
	if err != nil {
		return 0, false, fmt.Errorf("remove rows: %w", err)
	}
	n = int(tag.RowsAffected())
	return n, n == limit, nil
}
