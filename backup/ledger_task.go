package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Source is what a worker learns of an export when it opens it.
type Source struct {
	Resumed     bool // the export goes on behind the journal; else it begins at its first byte
	Validator   string
	ContentType string
	Size        int64         // of the whole export, or -1
	SHA256      []byte        // of the whole export, as announced; or nil
	Took        time.Duration // from when the provider was asked: the capture began no later
}

const maxSourceText = 1024

// sanitize drops what Postgres can't store: an ETag may have any byte in it. An
// export without a validator can't be resumed, and that is all.
func (s *Source) sanitize() {
	if len(s.Validator) > maxSourceText || !printable(s.Validator) {
		s.Validator = ""
	}
	if len(s.ContentType) > maxSourceText || !printable(s.ContentType) {
		s.ContentType = ""
	}
}

// OpenTask records the export that a worker is about to read. Unless it was
// resumed, the journal is emptied and, if anything was ever staged, the upload
// gets a new id and the object a new key: both are returned.
func (l *Ledger) OpenTask(ctx context.Context, w *TaskWork, s Source) error {
	s.sanitize()
	if s.Resumed {
		tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`
			UPDATE {{schema}}.backup_task SET announced_size = coalesce(nullif(@size::bigint, -1), announced_size),
				announced_sha256 = coalesce(@sha256, announced_sha256), from_bytes = stored_bytes
			WHERE id = @id AND lease_token = @token AND state = 'running'`),
			named{"id": w.TaskID, "token": w.Token, "size": s.Size, "sha256": s.SHA256})
		if err := oneRow(tag.RowsAffected(), err, "open task"); err != nil {
			return err
		}
		return l.checkSize(ctx, l.c.cfg.Pool, w.Backup)
	}
	opened, err := l.openFirst(ctx, w, s)
	if err != nil {
		return err
	}
	if opened {
		w.Task.ContentType, w.Checkpoint = s.ContentType, nil
		return l.checkSize(ctx, l.c.cfg.Pool, w.Backup)
	}
	upload := w.UploadID
	if w.Task.CaptureStartedAt != nil {
		upload = uuid.New()
	}
	key := l.c.objectKey(w.Backup, w.Task.Provider, upload)
	err = l.task(ctx, w.Lease, TaskRunning, func(ch *change, _ *Task) error {
		_, err := ch.tx.Exec(ctx, l.c.sql(`
			UPDATE {{schema}}.backup_task SET `+resetJournal+` WHERE id = @id`),
			named{"id": w.TaskID, "upload": upload, "key": key})
		if err != nil {
			return fmt.Errorf("open task: %w", err)
		}
		_, err = ch.tx.Exec(ctx, l.c.sql(`
			UPDATE {{schema}}.backup_task t SET `+captureSet+`
			FROM (SELECT @validator::text AS validator, @type::text AS type, @size::bigint AS size, @sha256::bytea AS sha256, @took::interval AS took) i WHERE t.id = @id`),
			named{"id": w.TaskID, "took": s.Took, "validator": s.Validator, "type": s.ContentType, "size": s.Size, "sha256": s.SHA256})
		if err != nil {
			return fmt.Errorf("open task: %w", err)
		}
		return ch.dropParts(ctx, w.TaskID)
	})
	if err != nil {
		return err
	}
	if err := l.checkSize(ctx, l.c.cfg.Pool, w.Backup); err != nil {
		return err
	}
	w.UploadID, w.Task.ObjectKey, w.Task.ContentType, w.Checkpoint = upload, key, s.ContentType, nil
	return nil
}

// captureSet notes what is known of an export that was opened. It takes i.validator,
// i.type, i.size, i.sha256 and i.took.
const captureSet = `validator = i.validator, content_type = i.type, announced_size = nullif(i.size, -1), announced_sha256 = i.sha256, capture_started_at = now() - i.took`

// task runs fn on the leased task, with its backup locked.
func (l *Ledger) task(ctx context.Context, lease Lease, state TaskState, fn func(*change, *Task) error) error {
	if !validID(lease.TaskID) {
		return ErrNotFound
	}
	var t *Task
	read := func(batch *pgx.Batch) {
		batch.Queue(l.c.sql(taskOf), named{"id": lease.TaskID, "backup": lease.BackupID}).Query(func(rows pgx.Rows) (err error) {
			t, err = pgx.CollectOneRow(rows, scanTask)
			return err
		})
	}
	return l.c.inChangeOf(ctx, lease.BackupID, read, func(ch *change) error {
		if t.leaseToken == nil || *t.leaseToken != lease.Token || (state != "" && t.State != state) {
			return ErrLeaseLost
		}
		return fn(ch, t)
	})
}

// JournalTask appends parts to the journal of a running task. c holds the new
// parts, and the offset and hash state behind them. With announce it writes an
// UpdatePartTask event, too. When the backup is then larger than its limit, it
// returns a permanent *SizeError.
func (l *Ledger) JournalTask(ctx context.Context, w *TaskWork, c *blob.Checkpoint, announce bool) error {
	if written, err := l.journalOnly(ctx, w, c, announce); written || err != nil {
		return err
	}
	return l.c.inTx(ctx, func(tx pgx.Tx) error {
		if !announce {
			return l.appendParts(ctx, tx, w, c)
		}
		return l.c.change(ctx, tx, w.BackupID, func(ch *change) error {
			if err := l.appendParts(ctx, tx, w, c); err != nil {
				return err
			}
			t, err := ch.task(ctx, w.TaskID)
			if err != nil {
				return err
			}
			ch.emit(EventUpdatePartTask, t.Provider, dataOf(t))
			return nil
		})
	})
}

// journalOnly is JournalTask without an event, of a backup without a limit, as one
// statement: a large export does it for each 44 MiB. It reports false where that
// isn't so, or the parts don't follow those that are there.
func (l *Ledger) journalOnly(ctx context.Context, w *TaskWork, c *blob.Checkpoint, announce bool) (written bool, err error) {
	if l.general || announce || w.Backup.MaxSize != 0 || len(c.Parts) == 0 || !inOrder(c.Parts, c.Parts[0].ID.Index()) {
		return false, nil
	}
	tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`WITH
		t AS (UPDATE {{schema}}.backup_task t SET `+journalSet+`
			WHERE t.id = @id AND t.lease_token = @token AND t.state = 'running' AND t.stored_parts = @first AND t.stored_bytes + @bytes = @offset RETURNING t.id)
		INSERT INTO {{schema}}.backup_part (task_id, idx, part_id, size, crc64)
		SELECT t.id, p.* FROM t, unnest(@idx::int[], @ids::text[], @sizes::bigint[], @crcs::bigint[]) AS p`),
		partColumns(c.Parts, journaling(w.Lease, c, named{"first": c.Parts[0].ID.Index()})))
	if err != nil {
		return false, fmt.Errorf("write journal: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// journalSet appends to a task's journal. It takes what journaling adds.
const journalSet = `stored_bytes = t.stored_bytes + @bytes, stored_parts = t.stored_parts + @n,
	received_bytes = greatest(t.received_bytes, @offset), hash_state = @hash, cursor = @cursor, staged_at = now()`

func journaling(lease Lease, c *blob.Checkpoint, args named) named {
	args["id"], args["token"], args["offset"] = lease.TaskID, lease.Token, c.Offset
	args["bytes"], args["n"], args["hash"], args["cursor"] = sizeOf(c.Parts), len(c.Parts), c.SHA256, c.Cursor
	return args
}

func (l *Ledger) appendParts(ctx context.Context, tx pgx.Tx, w *TaskWork, c *blob.Checkpoint) error {
	lease := w.Lease
	var parts int
	var offset int64
	err := tx.QueryRow(ctx, l.c.sql(`
		UPDATE {{schema}}.backup_task t SET `+journalSet+`
		WHERE t.id = @id AND t.lease_token = @token AND t.state = 'running' RETURNING t.stored_parts, t.stored_bytes`),
		journaling(lease, c, named{})).Scan(&parts, &offset)
	switch {
	case isNoRows(err):
		return fmt.Errorf("write journal: %w", ErrLeaseLost)
	case err != nil:
		return fmt.Errorf("write journal: %w", err)
	case offset != c.Offset || len(c.Parts) == 0 || !inOrder(c.Parts, parts-len(c.Parts)):
		return Permanent(errors.New("write journal: the parts don't follow those that are there"), "this is a bug")
	}
	if err := l.insertParts(ctx, tx, lease.TaskID, c.Parts); err != nil {
		return err
	}
	return l.checkSize(ctx, tx, w.Backup)
}

// inOrder reports whether parts are those from number first on, without a gap.
func inOrder(parts []blob.Part, first int) bool {
	for i, p := range parts {
		if p.ID.Index() != first+i {
			return false
		}
	}
	return true
}

func sizeOf(parts []blob.Part) (n int64) {
	for _, p := range parts {
		n += p.Size
	}
	return n
}

func (l *Ledger) insertParts(ctx context.Context, tx pgx.Tx, taskID string, parts []blob.Part) error {
	if len(parts) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, l.c.sql(`
		INSERT INTO {{schema}}.backup_part (task_id, idx, part_id, size, crc64)
		SELECT @id, p.* FROM unnest(@idx::int[], @ids::text[], @sizes::bigint[], @crcs::bigint[]) AS p`),
		partColumns(parts, named{"id": taskID}))
	if err != nil {
		return fmt.Errorf("write parts: %w", err)
	}
	return nil
}

// partColumns adds the columns of backup_part: @idx, @ids, @sizes and @crcs.
func partColumns(parts []blob.Part, args named) named {
	idx, ids := make([]int, len(parts)), make([]string, len(parts))
	sizes, crcs := make([]int64, len(parts)), make([]int64, len(parts))
	for i, p := range parts {
		idx[i], ids[i], sizes[i], crcs[i] = p.ID.Index(), p.ID.String(), p.Size, int64(p.CRC64) //nolint:gosec // the same 64 bits
	}
	args["idx"], args["ids"], args["sizes"], args["crcs"] = idx, ids, sizes, crcs
	return args
}

// gateSet takes a task's row through the commit gate. It takes i.size, i.sha256,
// i.proof and i.parts.
const gateSet = `state = 'committing', size = i.size, sha256 = i.sha256, proof = i.proof,
	stored_bytes = i.size, stored_parts = i.parts, received_bytes = i.size, hash_state = NULL, capture_finished_at = now()`

// GateTask takes a running task through the commit gate: from then on whoever
// holds its lease commits exactly content. Parts that the journal has already
// must be the first of content's.
func (l *Ledger) GateTask(ctx context.Context, w *TaskWork, content *blob.Content, proof Proof) error {
	if gated, err := l.gateWhole(ctx, w, content, proof); gated || err != nil {
		return err
	}
	return l.task(ctx, w.Lease, TaskRunning, func(ch *change, t *Task) error {
		if t.StoredParts > len(content.Parts) {
			return Permanent(fmt.Errorf("journal has %d parts and the upload %d", t.StoredParts, len(content.Parts)), "this is a bug")
		}
		if err := l.insertParts(ctx, ch.tx, t.ID, content.Parts[t.StoredParts:]); err != nil {
			return err
		}
		rows, err := ch.tx.Query(ctx, l.c.sql(`
			UPDATE {{schema}}.backup_task t SET `+gateSet+`
			FROM (SELECT @size::bigint AS size, @sha256::bytea AS sha256, @proof::text AS proof, @parts::int AS parts) i
			WHERE t.id = @id AND t.lease_token = @token AND t.state = 'running'
				AND (SELECT count(*) = i.parts AND coalesce(sum(p.size), 0) = i.size FROM {{schema}}.backup_part p WHERE p.task_id = t.id)
			RETURNING `+taskColumns),
			named{"id": t.ID, "token": w.Token, "size": content.Size, "sha256": content.SHA256[:], "proof": proof, "parts": len(content.Parts)})
		if err != nil {
			return fmt.Errorf("pass commit gate: %w", err)
		}
		gated, err := pgx.CollectOneRow(rows, scanTask)
		if isNoRows(err) {
			return Permanent(errors.New("pass commit gate: the journal's parts are not those of the upload"), "this is a bug")
		}
		if err != nil {
			return fmt.Errorf("pass commit gate: %w", err)
		}
		ch.emitTask(gated)
		return l.checkSize(ctx, ch.tx, ch.b)
	})
}
