package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ClaimDelete claims a backup that is being deleted.
func (l *Ledger) ClaimDelete(ctx context.Context, backupID string, p ClaimParams) (*StepWork, error) {
	return l.claimStep(ctx, backupID, p, StateDeleting)
}

// DeleteTargets are where a backup's objects are.
type DeleteTargets struct {
	// Prefixes, each with a slash at its end, have everything in the store that was
	// ever the backup's, and nothing else: also what earlier uploads of its tasks
	// have left, and the manifests of earlier generations.
	Prefixes []string

	// Objects are where its tasks' parts may be staged.
	Objects []string
}

// DeleteTargets finds out what there is to delete. It is more than one prefix
// where Config.Prefix has changed since the backup was made.
func (l *Ledger) DeleteTargets(ctx context.Context, w *StepWork) (*DeleteTargets, error) {
	rows, err := l.c.cfg.Pool.Query(ctx, l.c.sql(`
		SELECT object_key FROM {{schema}}.backup_task WHERE backup_id = @id
		UNION ALL SELECT manifest_key FROM {{schema}}.backup WHERE id = @id AND manifest_key IS NOT NULL`), named{"id": w.BackupID})
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	t := &DeleteTargets{Prefixes: []string{l.c.backupPrefix(w.Backup)}, Objects: keys}
	mine := "/" + w.BackupID + "/"
	for _, key := range keys {
		if before, _, ok := strings.Cut(key, mine); ok && !slices.Contains(t.Prefixes, before+mine) {
			t.Prefixes = append(t.Prefixes, before+mine)
		}
	}
	return t, nil
}

// CountDeleted notes how many objects, of how many bytes, there are to delete, before
// the first is. What an earlier attempt has noted stands.
func (l *Ledger) CountDeleted(ctx context.Context, lease Lease, objects, bytes int64) error {
	tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup SET removed_objects = coalesce(removed_objects, @objects), removed_bytes = coalesce(removed_bytes, @bytes)
		WHERE id = @id AND lease_token = @token AND state = 'deleting'`),
		named{"id": lease.BackupID, "token": lease.Token, "objects": objects, "bytes": bytes})
	return oneRow(tag.RowsAffected(), err, "count objects")
}

// FinishDelete removes the rows of a backup whose objects are gone, and leaves a
// tombstone, see DueTombstones. The parent's lock comes first, as everywhere; what
// hangs on it goes with it. Where the user's or site's backups are being erased, it is
// counted there.
func (l *Ledger) FinishDelete(ctx context.Context, lease Lease) error {
	return l.c.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, l.c.sql(`
			WITH gone AS (DELETE FROM {{schema}}.backup WHERE id = @id AND lease_token = @token AND state = 'deleting'
				RETURNING id, user_id, site_id, coalesce(removed_objects, 0) AS objects, coalesce(removed_bytes, 0) AS bytes),
			counted AS (UPDATE {{schema}}.backup_erasure e SET backups = e.backups + 1, objects = e.objects + gone.objects, bytes = e.bytes + gone.bytes
				FROM gone WHERE e.user_id = gone.user_id AND coalesce(e.site_id, '') IN ('', gone.site_id) AND e.finished_at IS NULL)
			INSERT INTO {{schema}}.backup_tombstone (backup_id, user_id, site_id, prefix, due_at)
			SELECT id, user_id, site_id, @prefix, coalesce(@now, now()) + @after::interval FROM gone
			ON CONFLICT (backup_id) DO UPDATE SET due_at = excluded.due_at, swept = 0`),
			named{"id": lease.BackupID, "token": lease.Token, "prefix": l.c.cfg.Prefix, "now": l.c.injected(), "after": tombstoneDelays[0]})
		return oneRow(tag.RowsAffected(), err, "delete rows")
	})
}

// failRequested is FailStep of a deletion or a verification. The backup stays what
// it is; when no further attempt follows, only asking again begins another, which
// RetryDeletions does for deletions.
func (l *Ledger) failRequested(ctx context.Context, w *StepWork, cause *ClassError, p RetryPolicy) (out Outcome, err error) {
	err = l.step(ctx, w.Lease, w.Backup.State, func(ch *change) error {
		var since time.Duration
		if ch.b.requestedAge != nil {
			since = *ch.b.requestedAge
		}
		out = ch.failedStep(cause, p, since)
		if out.Final {
			if err := ch.failStep(cause.Failure()); err != nil {
				return err
			}
		} else if ch.b.State == StateDeleting {
			ch.failure = cause.Failure()
		}
		return l.endStepLease(ctx, ch.tx, w.Lease, out.Delay)
	})
	return out, err
}

// failedStep counts the failure of a step, and decides what follows on it. A step has
// no other bound than its attempts: waits that the store asks for use none up for a day.
func (ch *change) failedStep(cause *ClassError, p RetryPolicy, since time.Duration) Outcome {
	out := p.decide(cause, ch.b.failures, 0)
	if cause.Class == ClassRetryAfter && cause.After <= 0 {
		out.Delay = patience(since)
	}
	if cause.Class == ClassRetryAfter && since < maxDelay {
		return out
	}
	if ch.b.failures++; ch.b.failures >= p.MaxAttempts {
		out.Final = true
	}
	return out
}

// endRequest notes that nothing was asked for any more.
func (ch *change) endRequest() {
	ch.last.Queue(ch.c.sql(`UPDATE {{schema}}.backup SET requested_at = NULL WHERE id = @id`), named{"id": ch.b.ID})
}

// RetryDeletions asks again for up to limit deletions that the workers have given up, and
// returns how many: nobody else may, and what is left of the backups would stay in the
// store for ever. Those whose last River jobs are the oldest come first, so that the ones
// that fail each time keep none of the others from their turn.
func (l *Ledger) RetryDeletions(ctx context.Context, limit int) (n int, err error) {
	rows, err := l.c.cfg.Pool.Query(ctx, l.c.sql(`SELECT id::text FROM {{schema}}.backup WHERE state = 'deleting' AND requested_at IS NULL ORDER BY river_job_id LIMIT @limit`), named{"limit": limit})
	if err != nil {
		return 0, fmt.Errorf("read deletions: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, fmt.Errorf("read deletions: %w", err)
	}
	for _, id := range ids {
		ok, err := l.c.changeSoon(ctx, id, func(ch *change) error { return ch.delete(ctx) })
		if err != nil {
			return n, err
		}
		if ok {
			n++
		}
	}
	return n, nil
}
