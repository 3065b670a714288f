package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// tombstoneDelays are how long behind its deletion, and then behind each look, a deleted
// backup's place in the store is looked at. The first is longer than any lease should be.
// With the second the parts that were staged before the deletion have expired: a worker
// that wakes up even later has nothing to commit but what is empty or a manifest.
var tombstoneDelays = []time.Duration{10 * time.Minute, 7 * 24 * time.Hour}

// Tombstone is a deleted backup whose place in the store is to be looked at again.
//
// A worker that slept through its lease finds that its writes to the tables do nothing,
// but what it was about to write to the store it writes: the object that has passed the
// commit gate, or a manifest. Where the backup was deleted meanwhile, nothing would ever
// remove that.
type Tombstone struct {
	BackupID string
	Prefix   string // has all its objects and nothing else; with a slash at its end

	swept int
}

// DueTombstones returns up to limit tombstones that are due, the oldest first.
func (l *Ledger) DueTombstones(ctx context.Context, limit int) ([]Tombstone, error) {
	rows, err := l.c.cfg.Pool.Query(ctx, l.c.sql(`SELECT backup_id::text, user_id, site_id, prefix, swept FROM {{schema}}.backup_tombstone
		WHERE due_at <= coalesce(@now, now()) ORDER BY due_at LIMIT @limit`), named{"now": l.c.injected(), "limit": limit})
	if err != nil {
		return nil, fmt.Errorf("read tombstones: %w", err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Tombstone, err error) {
		var user, site, prefix string
		err = row.Scan(&t.BackupID, &user, &site, &prefix, &t.swept)
		t.Prefix = prefixUnder(prefix, user, site, t.BackupID)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("read tombstones: %w", err)
	}
	return due, nil
}

// tombstoneAgain is when a place is looked at again that couldn't be cleared.
const tombstoneAgain = time.Hour

// PostponeTombstone notes that what is there couldn't be removed.
func (l *Ledger) PostponeTombstone(ctx context.Context, t Tombstone) error {
	_, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup_tombstone SET due_at = coalesce(@now, now()) + @after::interval WHERE backup_id = @id AND swept = @swept`),
		named{"id": t.BackupID, "swept": t.swept, "now": l.c.injected(), "after": tombstoneAgain})
	if err != nil {
		return fmt.Errorf("note tombstone: %w", err)
	}
	return nil
}

// SweptTombstone notes that nothing is there any more. Behind the last look the tombstone
// goes. Another process may have looked, too.
func (l *Ledger) SweptTombstone(ctx context.Context, t Tombstone) error {
	query, args := `DELETE FROM {{schema}}.backup_tombstone WHERE backup_id = @id AND swept = @swept`, named{"id": t.BackupID, "swept": t.swept}
	if t.swept+1 < len(tombstoneDelays) {
		query = `UPDATE {{schema}}.backup_tombstone SET swept = swept + 1, due_at = coalesce(@now, now()) + @after::interval WHERE backup_id = @id AND swept = @swept`
		args["now"], args["after"] = l.c.injected(), tombstoneDelays[t.swept+1]
	}
	if _, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(query), args); err != nil {
		return fmt.Errorf("note tombstone: %w", err)
	}
	return nil
}
