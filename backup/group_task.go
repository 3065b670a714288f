package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// lockRunning is l: the running backups of the tasks in i. It takes @running and what
// else must hold of them. States of backups are arguments here: a plan is made once,
// perhaps when few backups are open, and with constants Postgres may then read all
// those that are open, by an index of only them, whenever it locks one.
const lockRunning = `l AS (SELECT b.* FROM {{schema}}.backup b WHERE b.id IN (SELECT i.backup FROM i) AND b.state = @running%s FOR NO KEY UPDATE OF b SKIP LOCKED)`

// ofLocked is the guard of t, which must not be locked before l.
const ofLocked = `t.id = i.id AND t.backup_id = l.id AND l.id = i.backup`

// announce is u and e: the events that the tasks have changed, and their numbers.
const announce = `u AS (UPDATE {{schema}}.backup b SET event_seq = b.event_seq + k.k
		FROM (SELECT backup_id, count(*) AS k FROM t GROUP BY backup_id) k WHERE b.id = k.backup_id),
	` + taskEvents

// taskEvents is what dataOf makes of tasks that have no rate and no next attempt,
// which each t sees to.
const taskEvents = `e AS (INSERT INTO {{schema}}.backup_event (backup_id, seq, name, provider, data)
	SELECT t.backup_id, l.event_seq + row_number() OVER (PARTITION BY t.backup_id ORDER BY t.n), 'UpdateTask', t.provider, jsonb_strip_nulls(jsonb_build_object(
		'state', t.state, 'attempt', t.failures + 1, 'receivedBytes', t.received_bytes, 'storedBytes', t.stored_bytes, 'storedParts', t.stored_parts,
		'announcedSize', t.announced_size, 'proof', t.proof,
		'error', CASE WHEN t.error_class IS NOT NULL THEN jsonb_build_object('class', t.error_class, 'message', coalesce(t.error, ''), 'hint', nullif(t.error_hint, '')) END))
	FROM t JOIN l ON l.id = t.backup_id)`

// taskClaim is ClaimTask of a task that nobody holds, so that no attempt ends, and
// that has no journal.
type taskClaim struct {
	call
	task  TaskArgs
	token uuid.UUID
	by    ClaimParams
	work  *TaskWork
}

// claimFresh returns nil where the task isn't one for taskClaim.
func (l *Ledger) claimFresh(ctx context.Context, a TaskArgs, token uuid.UUID, p ClaimParams) (*TaskWork, error) {
	if l.general || !validID(a.BackupID) || !validID(a.TaskID) || l.c.limited(a.Provider) {
		return nil, nil //nolint:nilnil // go the general way
	}
	v := &taskClaim{task: a, token: token, by: p}
	if ok, err := l.c.together(ctx, "claim task", v); !ok {
		return nil, err
	}
	return v.work, nil
}

func queueClaims(c *Client, batch *pgx.Batch, calls []*taskClaim) {
	n := len(calls)
	backups, ids, providers, jobs := make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	tokens, ds, workers := make([]uuid.UUID, n), make([]time.Duration, n), make([]string, n)
	for i, v := range calls {
		backups[i], ids[i], providers[i], jobs[i] = v.task.BackupID, v.task.TaskID, v.task.Provider, v.by.JobID
		tokens[i], ds[i], workers[i] = v.token, v.by.Duration, v.by.Worker
	}
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@backups::uuid[], @ids::uuid[], @providers::text[], @jobs::bigint[], @tokens::uuid[], @ds::interval[], @workers::text[])
			WITH ORDINALITY AS i (backup, id, provider, job, token, d, worker, n)),
		`+fmt.Sprintf(lockRunning, "")+`,
		t AS (UPDATE {{schema}}.backup_task t SET `+leaseTaskSet+`, rate = 0 FROM i, l
			WHERE `+ofLocked+` AND t.provider = i.provider AND t.river_job_id = i.job AND t.state = 'pending' AND t.lease_token IS NULL AND t.stored_parts = 0
				AND (t.next_attempt_at IS NULL OR t.next_attempt_at <= now())
			RETURNING t.*, i.n),
		`+announce+`
		SELECT `+backupColumns+`, `+taskColumns+`, t.n FROM t JOIN l b ON b.id = t.backup_id`),
		named{"backups": backups, "ids": ids, "providers": providers, "jobs": jobs, "tokens": tokens, "ds": ds, "workers": workers, "running": StateRunning},
	).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			t, f, n := new(Task), new(failureColumns), 0
			b, err := scanBackupAnd(rows, append(taskDest(t, f), &n)...)
			if err != nil {
				return err
			}
			v := calls[n-1]
			v.work, v.ok = newWork(b, t.complete(f), v.token), true
		}
		return rows.Err()
	})
}

// taskOpen is OpenTask where nothing was ever staged: there is nothing to empty,
// and the upload keeps its id. It touches no row but the task's, and leaves out one
// that somebody has locked, as a cancel that isn't committed yet has.
type taskOpen struct {
	call
	work   *TaskWork
	source Source
}

func (l *Ledger) openFirst(ctx context.Context, w *TaskWork, s Source) (opened bool, err error) {
	if l.general || !validID(w.TaskID) || w.Task.CaptureStartedAt != nil {
		return false, nil
	}
	return l.c.together(ctx, "open task", &taskOpen{work: w, source: s})
}

func queueOpens(c *Client, batch *pgx.Batch, calls []*taskOpen) {
	n := len(calls)
	ids, tokens, uploads := make([]string, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	validators, types, sizes, tooks, sums := make([]string, n), make([]string, n), make([]int64, n), make([]time.Duration, n), make([][]byte, n)
	for i, v := range calls {
		ids[i], tokens[i], uploads[i] = v.work.TaskID, v.work.Token, v.work.UploadID
		validators[i], types[i], sizes[i], tooks[i], sums[i] = v.source.Validator, v.source.ContentType, v.source.Size, v.source.Took, v.source.SHA256
	}
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@ids::uuid[], @tokens::uuid[], @uploads::uuid[], @validators::text[], @types::text[], @sizes::bigint[], @tooks::interval[], @sums::bytea[])
			WITH ORDINALITY AS i (id, token, upload, validator, type, size, took, sha256, n)),
		l AS (SELECT t.id FROM {{schema}}.backup_task t WHERE t.id IN (SELECT i.id FROM i) FOR NO KEY UPDATE OF t SKIP LOCKED)
		UPDATE {{schema}}.backup_task t SET `+captureSet+`, received_bytes = 0, rate = 0 FROM i, l
		WHERE t.id = i.id AND l.id = i.id AND t.lease_token = i.token AND t.state = 'running' AND t.capture_started_at IS NULL AND t.stored_parts = 0 AND t.upload_id = i.upload
		RETURNING i.n`),
		named{"ids": ids, "tokens": tokens, "uploads": uploads, "validators": validators, "types": types, "sizes": sizes, "tooks": tooks, "sums": sums},
	).Query(func(rows pgx.Rows) error { return mark(rows, calls) })
}

// mark notes which calls did their work: a row has the call's number.
func mark[V verb](rows pgx.Rows, calls []V) error {
	var n int
	_, err := pgx.ForEachRow(rows, []any{&n}, func() error {
		calls[n-1].base().ok = true
		return nil
	})
	return err
}

// markBackups is mark for rows that have a backup first and then what more takes.
func markBackups[V verb](rows pgx.Rows, calls []V, got func(v V, b *Backup), more ...any) error {
	defer rows.Close()
	var n int
	for rows.Next() {
		b, err := scanBackupAnd(rows, append(more, &n)...)
		if err != nil {
			return err
		}
		got(calls[n-1], b)
		calls[n-1].base().ok = true
	}
	return rows.Err()
}

// taskGate is GateTask of an export that was staged as a whole before anything of
// it was journaled, of a backup without a limit.
type taskGate struct {
	call
	work    *TaskWork
	content *blob.Content
	proof   Proof
}

// maxGroupParts bounds what one call adds to a group, whose arrays are joined each
// with each.
const maxGroupParts = 8

func (l *Ledger) gateWhole(ctx context.Context, w *TaskWork, content *blob.Content, proof Proof) (gated bool, err error) {
	if l.general || !validID(w.BackupID) || !validID(w.TaskID) || w.Backup.MaxSize != 0 || len(content.Parts) > maxGroupParts ||
		!inOrder(content.Parts, 0) || sizeOf(content.Parts) != content.Size {
		return false, nil
	}
	return l.c.together(ctx, "pass commit gate", &taskGate{work: w, content: content, proof: proof})
}

func queueGates(c *Client, batch *pgx.Batch, calls []*taskGate) {
	n := len(calls)
	backups, ids, tokens := make([]string, n), make([]string, n), make([]uuid.UUID, n)
	sizes, sums, proofs, counts := make([]int64, n), make([][]byte, n), make([]string, n), make([]int, n)
	var parts []blob.Part
	var of []string
	for i, v := range calls {
		backups[i], ids[i], tokens[i] = v.work.BackupID, v.work.TaskID, v.work.Token
		sizes[i], sums[i], proofs[i], counts[i] = v.content.Size, v.content.SHA256[:], string(v.proof), len(v.content.Parts)
		for _, p := range v.content.Parts {
			parts, of = append(parts, p), append(of, v.work.TaskID)
		}
	}
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@backups::uuid[], @tasks::uuid[], @tokens::uuid[], @lengths::bigint[], @sums::bytea[], @proofs::text[], @counts::int[])
			WITH ORDINALITY AS i (backup, id, token, size, sha256, proof, parts, n)),
		`+fmt.Sprintf(lockRunning, "")+`,
		t AS (UPDATE {{schema}}.backup_task t SET `+gateSet+` FROM i, l
			WHERE `+ofLocked+` AND t.lease_token = i.token AND t.state = 'running' AND t.stored_parts = 0 AND t.rate = 0
			RETURNING t.*, i.n),
		p AS (INSERT INTO {{schema}}.backup_part (task_id, idx, part_id, size, crc64)
			SELECT t.id, p.idx, p.part_id, p.size, p.crc64
			FROM unnest(@of::uuid[], @idx::int[], @ids::text[], @sizes::bigint[], @crcs::bigint[]) AS p (task, idx, part_id, size, crc64) JOIN t ON t.id = p.task),
		`+announce+` SELECT t.n FROM t`),
		partColumns(parts, named{"backups": backups, "tasks": ids, "tokens": tokens, "lengths": sizes, "sums": sums, "proofs": proofs, "counts": counts, "of": of, "running": StateRunning}),
	).Query(func(rows pgx.Rows) error { return mark(rows, calls) })
}

// taskEnd is FinishTask of a backup that nothing else is about to end.
type taskEnd struct {
	call
	lease  Lease
	backup *Backup // as it was before
	ended  int     // of its tasks, in this group
}

func (l *Ledger) finishOne(ctx context.Context, lease Lease) (finished bool, err error) {
	if l.general || !validID(lease.BackupID) || !validID(lease.TaskID) {
		return false, nil
	}
	return l.c.together(ctx, "finish task", &taskEnd{lease: lease})
}

func queueEnds(c *Client, batch *pgx.Batch, calls []*taskEnd) {
	n := len(calls)
	backups, ids, tokens := make([]string, n), make([]string, n), make([]uuid.UUID, n)
	for i, v := range calls {
		backups[i], ids[i], tokens[i] = v.lease.BackupID, v.lease.TaskID, v.lease.Token
	}
	// The backup whose last task ends moves on in queueSealing, which counts for it.
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@backups::uuid[], @ids::uuid[], @tokens::uuid[]) WITH ORDINALITY AS i (backup, id, token, n)),
		`+fmt.Sprintf(lockRunning, " AND b.failed_tasks = 0 AND b.cancel_requested_at IS NULL")+`,
		t AS (UPDATE {{schema}}.backup_task t SET `+endTaskSet+` FROM i, l
			WHERE `+ofLocked+` AND t.lease_token = i.token AND t.state = 'committing'
			RETURNING t.*, i.n),
		k AS (SELECT backup_id, count(*) AS k FROM t GROUP BY backup_id),
		u AS (UPDATE {{schema}}.backup b SET event_seq = b.event_seq + k.k, open_tasks = b.open_tasks - k.k
			FROM k WHERE b.id = k.backup_id AND b.open_tasks > k.k),
		`+taskEvents+`
		SELECT `+backupColumns+`, k.k, t.n FROM t JOIN k ON k.backup_id = t.backup_id JOIN l b ON b.id = t.backup_id`),
		ending(AttemptDone, nil, 0, named{"backups": backups, "ids": ids, "tokens": tokens, "state": TaskDone, "running": StateRunning}),
	).Query(func(rows pgx.Rows) error {
		var ended int
		return markBackups(rows, calls, func(v *taskEnd, b *Backup) { v.backup, v.ended = b, ended }, &ended)
	})
}

// sealing is a backup whose last tasks have ended in a group.
type sealing struct {
	backup *Backup // as it was before
	ended  int     // tasks
	job    int64
}

// lastOf are the backups that have no open task any more.
func lastOf(calls []*taskEnd) (last []sealing) {
	seen := make(map[string]bool)
	for _, v := range held(calls) {
		if v.backup.openTasks == v.ended && !seen[v.backup.ID] {
			seen[v.backup.ID] = true
			last = append(last, sealing{backup: v.backup, ended: v.ended})
		}
	}
	return last
}

// queueSealing makes the backups sealing.
func queueSealing(c *Client, batch *pgx.Batch, last []sealing) error {
	data, err := json.Marshal(backupData{State: StateSealing})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	n := len(last)
	ids, ended, jobs := make([]string, n), make([]int, n), make([]int64, n)
	for i, s := range last {
		ids[i], ended[i], jobs[i] = s.backup.ID, s.ended, s.job
	}
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@ids::uuid[], @ended::int[], @jobs::bigint[]) AS i (id, ended, job)),
		u AS (UPDATE {{schema}}.backup b SET state = 'sealing', open_tasks = 0, event_seq = b.event_seq + i.ended + 1, river_job_id = i.job, failures = 0,
				error_class = NULL, error = NULL, error_hint = NULL, lease_token = NULL, lease_until = NULL, next_attempt_at = NULL
			FROM i WHERE b.id = i.id AND b.state = @running AND b.open_tasks = i.ended RETURNING b.id, b.event_seq)
		INSERT INTO {{schema}}.backup_event (backup_id, seq, name, data) SELECT u.id, u.event_seq, @name, @data FROM u`),
		named{"ids": ids, "ended": ended, "jobs": jobs, "name": string(EventUpdateBackup), "data": data, "running": StateRunning},
	).Exec(all(n))
	return nil
}
