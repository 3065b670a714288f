package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErasureWork is an erasure that a run of its River job works on.
type ErasureWork struct {
	ErasureID string
	Age       time.Duration
	Prefixes  []string // of its objects, each with a slash at the end
	Batch     []string // objects that are counted, and may not have been removed yet; its run takes out what it removes

	p     EraseParams
	token uuid.UUID
}

// BeginErasure begins a run. It takes the erasure from an earlier one, whose writes
// give ErrLeaseLost from then on. An *IdleError says that the job has nothing to do.
func (l *Ledger) BeginErasure(ctx context.Context, id string, jobID int64) (*ErasureWork, error) {
	if !validID(id) {
		return nil, &IdleError{Reason: "no such erasure"}
	}
	token, err := newToken()
	if err != nil {
		return nil, err
	}
	w := &ErasureWork{ErasureID: id, token: token}
	err = l.c.cfg.Pool.QueryRow(ctx, l.c.sql(`UPDATE {{schema}}.backup_erasure SET run_token = @token
		WHERE id = @id AND river_job_id = @job AND finished_at IS NULL
		RETURNING user_id, coalesce(site_id, ''), coalesce(batch, '{}'), greatest(coalesce(@now, now()) - requested_at, '0')`),
		named{"id": id, "job": jobID, "token": token, "now": l.c.injected()}).Scan(&w.p.UserID, &w.p.SiteID, &w.Batch, &w.Age)
	switch {
	case isNoRows(err):
		e, err := l.c.GetErasure(ctx, id)
		if err != nil && !errors.Is(err, ErrErasureNotFound) {
			return nil, err
		}
		return nil, &IdleError{Reason: "another River job is responsible for erasure " + id, Done: e == nil || e.FinishedAt != nil}
	case err != nil:
		return nil, fmt.Errorf("begin erasure: %w", err)
	}
	w.Prefixes = l.c.tenantPrefixes(w.p)
	return w, nil
}

// tenantPrefixes are the prefix of the tenant's objects and, where it differs, the one
// that earlier releases gave them.
func (c *Client) tenantPrefixes(p EraseParams) (all []string) {
	for _, escape := range []func(string) string{escapeSegment, escapeSegmentBefore} {
		prefix := escape(p.UserID) + "/"
		if p.SiteID != "" {
			prefix += escape(p.SiteID) + "/"
		}
		if c.cfg.Prefix != "" {
			prefix = c.cfg.Prefix + "/" + prefix
		}
		if !slices.Contains(all, prefix) {
			all = append(all, prefix)
		}
	}
	return all
}

// EraseRows takes the tenant's schedules away, and cancels or begins to delete up to
// limit of its backups. Left says whether there are any yet, and more whether to call
// it again at once.
func (l *Ledger) EraseRows(ctx context.Context, w *ErasureWork, limit int) (left, more bool, err error) {
	err = l.inErasure(ctx, w, func(tx pgx.Tx) error { return l.c.eraseSchedules(ctx, tx, w.ErasureID, w.p) })
	if err != nil {
		return false, false, err
	}
	ids, held, err := l.erasable(ctx, w, limit)
	if err != nil {
		return false, false, err
	}
	for _, b := range ids {
		if err := l.eraseBackup(ctx, b); err != nil {
			return false, false, err
		}
	}
	if held != "" { // by a process that doesn't know of erasures
		return true, false, fmt.Errorf("backup %s is under a legal hold", held)
	}
	more = len(ids) == limit
	var failing, cause string
	err = l.c.cfg.Pool.QueryRow(ctx, l.c.sql(`SELECT EXISTS (SELECT FROM {{schema}}.backup WHERE `+ofTenant+`), coalesce(f.id::text, ''), coalesce(f.error, '')
		FROM (SELECT) one LEFT JOIN (SELECT id, error FROM {{schema}}.backup WHERE `+ofTenant+` AND state = 'deleting' AND error IS NOT NULL ORDER BY id LIMIT 1) f ON true`),
		w.p.args()).Scan(&left, &failing, &cause)
	if err != nil {
		return false, false, fmt.Errorf("look for backups: %w", err)
	}
	if failing != "" && !more { // its own job tries again; who waits for the erasure is told why
		return left, false, fmt.Errorf("delete backup %s: %s", failing, cause)
	}
	return left, more, nil
}

// inErasure runs fn in a transaction that has locked the erasure for its run.
func (l *Ledger) inErasure(ctx context.Context, w *ErasureWork, fn func(pgx.Tx) error) error {
	return l.c.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, l.c.sql(`SELECT FROM {{schema}}.backup_erasure WHERE id = @id AND run_token = @token AND finished_at IS NULL FOR NO KEY UPDATE`),
			named{"id": w.ErasureID, "token": w.token})
		if err := oneRow(tag.RowsAffected(), err, "lock erasure"); err != nil {
			return err
		}
		return fn(tx)
	})
}

// erasableBackup is a backup that can be canceled or deleted now.
type erasableBackup struct {
	id    string
	state State
}

// erasable are those for which nobody has asked yet, and one that is held.
func (l *Ledger) erasable(ctx context.Context, w *ErasureWork, limit int) (all []erasableBackup, held string, err error) {
	args := w.p.args()
	args["limit"] = limit
	rows, err := l.c.cfg.Pool.Query(ctx, l.c.sql(`SELECT id::text, state, held_at IS NOT NULL FROM {{schema}}.backup
		WHERE `+ofTenant+` AND (state IN ('pending', 'running') AND cancel_requested_at IS NULL
			OR state IN ('done', 'failed', 'canceled') AND open_tasks = 0
			OR state = 'deleting' AND requested_at IS NULL)
		ORDER BY held_at IS NOT NULL, id LIMIT @limit`), args)
	if err != nil {
		return nil, "", fmt.Errorf("read backups: %w", err)
	}
	var b erasableBackup
	var isHeld bool
	_, err = pgx.ForEachRow(rows, []any{&b.id, &b.state, &isHeld}, func() error {
		if isHeld {
			held = b.id
			return nil
		}
		all = append(all, b)
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("read backups: %w", err)
	}
	return all, held, nil
}

// eraseBackup cancels or deletes. What has changed meanwhile is looked at again later.
func (l *Ledger) eraseBackup(ctx context.Context, b erasableBackup) (err error) {
	if b.state == StatePending || b.state == StateRunning {
		_, err = l.c.Cancel(ctx, b.id)
	} else {
		_, err = l.c.Delete(ctx, b.id)
	}
	var state *StateError
	var held *HeldError
	if errors.Is(err, ErrNotFound) || errors.As(err, &state) || errors.As(err, &held) {
		return nil
	}
	return err
}

// BackupID is the id within the key of an object below prefix, one of w.Prefixes; it
// may be none.
// It isn't ok where the key can't be ours: another installation's prefix begins with
// the name of our tenant.
func (w *ErasureWork) BackupID(prefix, key string) (id string, ok bool) {
	segments := strings.Split(strings.TrimPrefix(key, prefix), "/")
	if w.p.SiteID == "" {
		segments = segments[1:] // the site
	}
	switch {
	case len(segments) == 0:
		return "", true
	case len(segments) > 3, len(segments) == 3 && strings.HasPrefix(segments[2], "manifest"):
		return "", false
	}
	return segments[0], true
}

// HaveRows tells which of the ids are those of backups.
func (l *Ledger) HaveRows(ctx context.Context, ids []string) (map[string]bool, error) {
	valid := make([]string, 0, len(ids))
	for _, id := range ids {
		if validID(id) {
			valid = append(valid, id)
		}
	}
	rows, err := l.c.cfg.Pool.Query(ctx, l.c.sql(`SELECT id::text FROM {{schema}}.backup WHERE id = ANY(@ids::uuid[])`), named{"ids": valid})
	if err != nil {
		return nil, fmt.Errorf("look for backups: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for backups: %w", err)
	}
	have := make(map[string]bool, len(found))
	for _, id := range found {
		have[id] = true
	}
	return have, nil
}

// CountErased counts objects that are to be removed now. A later run finds them in
// Batch, and removes them without counting them again.
func (l *Ledger) CountErased(ctx context.Context, w *ErasureWork, keys []string, bytes int64) error {
	tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup_erasure SET batch = @keys, objects = objects + cardinality(@keys::text[]), bytes = bytes + @bytes
		WHERE id = @id AND run_token = @token AND finished_at IS NULL`),
		named{"id": w.ErasureID, "token": w.token, "keys": keys, "bytes": bytes})
	if err := oneRow(tag.RowsAffected(), err, "count objects"); err != nil {
		return err
	}
	w.Batch = keys
	return nil
}

// EraseJobs removes up to limit River jobs of ours that name the tenant and don't run,
// and returns how many. Left says whether there may be any yet. Nothing of the tenant may have a row any more:
// then they are those that have ended, and requests of others' River clients,
// which are refused anyway.
func (l *Ledger) EraseJobs(ctx context.Context, w *ErasureWork, limit int) (removed int, left bool, err error) {
	names, after := map[string]string{"user_id": w.p.UserID}, map[string]string{"userId": w.p.UserID}
	if w.p.SiteID != "" {
		names["site_id"], after["siteId"] = w.p.SiteID, w.p.SiteID
	}
	args := named{"names": names, "after": map[string]any{"output": map[string]any{"after": after}}}
	// A pass of retention that has stopped at the tenant says so; the next one begins
	// anew.
	const ours = `(metadata @> @names OR args @> @names OR metadata @> @after) AND (kind = 'backup' OR kind LIKE 'backup\_%')`
	tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`DELETE FROM {{schema}}.river_job WHERE id IN (
		SELECT id FROM {{schema}}.river_job WHERE `+ours+` AND state <> 'running' ORDER BY id LIMIT @limit FOR UPDATE SKIP LOCKED)`),
		named{"names": names, "after": args["after"], "limit": limit})
	removed, left = int(tag.RowsAffected()), true
	if err == nil && removed < limit {
		// EXISTS would hope to meet one soon in River's whole table, where most often there
		// is none.
		err = l.c.cfg.Pool.QueryRow(ctx, l.c.sql(`SELECT count(*) > 0 FROM {{schema}}.river_job WHERE `+ours), args).Scan(&left)
	}
	if err != nil {
		return 0, false, fmt.Errorf("erase River jobs: %w", err)
	}
	return removed, left, nil
}

// FinishErasure makes a receipt of it, and leaves of the tombstones of the tenant's deleted
// backups, which have its names, what names nobody, see DueForgotten. It isn't finished
// where something of the tenant's has come up again.
func (l *Ledger) FinishErasure(ctx context.Context, w *ErasureWork) (finished bool, err error) {
	err = l.inErasure(ctx, w, func(tx pgx.Tx) error {
		args := w.p.args()
		args["id"], args["now"] = w.ErasureID, l.c.injected()
		tag, err := tx.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup_erasure SET finished_at = coalesce(@now, now()),
				user_id = NULL, site_id = NULL, batch = NULL, error = NULL, run_token = NULL
			WHERE id = @id AND NOT EXISTS (SELECT FROM {{schema}}.backup WHERE `+ofTenant+`)
				AND NOT EXISTS (SELECT FROM {{schema}}.backup_schedule WHERE `+ofTenant+`)`), args)
		if finished = tag.RowsAffected() > 0; err != nil || !finished {
			return err
		}
		if _, err := tx.Exec(ctx, l.c.sql(`DELETE FROM {{schema}}.backup_schedule_gone WHERE `+ofTenant), w.p.args()); err != nil {
			return err
		}
		return l.c.forgetTombstones(ctx, tx, w.p)
	})
	if err != nil {
		return false, fmt.Errorf("finish erasure: %w", err)
	}
	return finished, nil
}

// NoteErasureError records what holds an erasure up, nil: nothing does any more; and what
// is left of its batch.
func (l *Ledger) NoteErasureError(ctx context.Context, w *ErasureWork, cause error) error {
	text := ""
	if cause != nil {
		text = oneLine(cause.Error())
	}
	tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`UPDATE {{schema}}.backup_erasure SET error = nullif(@error, ''), batch = nullif(@batch::text[], '{}')
		WHERE id = @id AND run_token = @token AND finished_at IS NULL`),
		named{"id": w.ErasureID, "token": w.token, "error": text, "batch": w.Batch})
	return oneRow(tag.RowsAffected(), err, "note error")
}

// MendErasures gives up to limit erasures a new River job whose own was lost, and
// returns how many.
func (l *Ledger) MendErasures(ctx context.Context, limit int) (mended int, err error) {
	err = l.c.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, l.c.sql(`SELECT r.id::text
			FROM {{schema}}.backup_erasure r LEFT JOIN {{schema}}.river_job j ON j.id = r.river_job_id
			WHERE r.finished_at IS NULL AND (j.id IS NULL OR j.state IN ('cancelled', 'completed', 'discarded')
				OR j.kind <> 'backup_erase' OR j.args->>'erasure_id' IS DISTINCT FROM r.id::text)
			ORDER BY r.id LIMIT @limit FOR NO KEY UPDATE OF r SKIP LOCKED`), named{"limit": limit})
		if err != nil {
			return fmt.Errorf("find lost River jobs: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("find lost River jobs: %w", err)
		}
		for _, id := range ids {
			if err := l.c.insertEraseJob(ctx, tx, id); err != nil {
				return err
			}
		}
		mended = len(ids)
		return nil
	})
	return mended, err
}
