package backup

import (
	"context"
	"fmt"
)

// The verbs that each backup of tiny exports needs several times are written
// twice: in the general way, as a transaction that locks the backup, reads the
// task, decides in Go and writes; and, for the case that is by far the most
// common, as a single statement in the files single_*.go. The general way takes
// seven round trips, with the backup's row locked across five of them, and a
// single statement one.
//
// A single statement keeps all that the general way does. It locks the backup
// first (l), then the task (t), then updates the backup (u) and writes the event
// (e). When it has waited for a lock, Postgres evaluates the guards of l and t
// again on the rows as they are then, and u counts up from the locked row, so
// that the counters stay exact and the events have no gaps. Where a guard
// doesn't hold the statement writes nothing, and the general way is gone to see
// why.

// lockRunning is l: the running backup of a task.
const lockRunning = `l AS (SELECT * FROM {{schema}}.backup WHERE id = @backup AND state = 'running' FOR NO KEY UPDATE)`

// ofLocked is the guard of t, which must not be locked before l.
const ofLocked = `t.id = @id AND t.backup_id = (SELECT id FROM l)`

// announceTask is u and e: the event that the task has changed. It is what dataOf
// makes of a task that has no rate and no next attempt, which each t sees to.
const announceTask = `u AS (UPDATE {{schema}}.backup b SET event_seq = b.event_seq + 1 WHERE b.id = @backup AND EXISTS (SELECT FROM t) RETURNING b.event_seq),
	` + taskEvent

const taskEvent = `e AS (INSERT INTO {{schema}}.backup_event (backup_id, seq, name, provider, data)
	SELECT t.backup_id, u.event_seq, 'UpdateTask', t.provider, jsonb_strip_nulls(jsonb_build_object(
		'state', t.state, 'attempt', t.failures + 1, 'receivedBytes', t.received_bytes, 'storedBytes', t.stored_bytes, 'storedParts', t.stored_parts,
		'announcedSize', t.announced_size, 'proof', t.proof,
		'error', CASE WHEN t.error_class IS NOT NULL THEN jsonb_build_object('class', t.error_class, 'message', coalesce(t.error, ''), 'hint', nullif(t.error_hint, '')) END))
	FROM t, u)`

// single runs a single statement that returns a row if it did its work, when it
// is its turn at the backup.
func (l *Ledger) single(ctx context.Context, backupID, what, query string, args named) (done bool, err error) {
	end, err := l.c.turns.take(ctx, backupID)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	defer end()
	tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(query), args)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	return tag.RowsAffected() == 1, nil
}
