package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// stepClaim is the claim of a step of a backup that is in that state, is the River
// job's, and at which no worker is or has died.
type stepClaim struct {
	call
	id    string
	state State
	token uuid.UUID
	by    ClaimParams
	work  *StepWork
}

// maxSealParts bounds what a backup to be sealed makes a group read: the parts of the
// largest are hundreds of thousands of rows, and the others would wait for them.
const maxSealParts = 1000

// claimFreeStep returns nil where the backup isn't one for stepClaim.
func (l *Ledger) claimFreeStep(ctx context.Context, id string, p ClaimParams, state State, token uuid.UUID) (*StepWork, error) {
	if l.general || !validID(id) {
		return nil, nil //nolint:nilnil // go the general way
	}
	v := &stepClaim{id: id, state: state, token: token, by: p}
	if ok, err := l.c.together(ctx, "claim backup", v); !ok {
		return nil, err
	}
	return v.work, nil
}

func queueStepClaims(c *Client, batch *pgx.Batch, calls []*stepClaim) {
	n := len(calls)
	ids, jobs, states := make([]string, n), make([]int64, n), make([]string, n)
	tokens, ds, workers := make([]uuid.UUID, n), make([]time.Duration, n), make([]string, n)
	var sealing []string
	var held []uuid.UUID
	for i, v := range calls {
		ids[i], jobs[i], states[i] = v.id, v.by.JobID, string(v.state)
		tokens[i], ds[i], workers[i] = v.token, v.by.Duration, v.by.Worker
		if v.state == StateSealing { // before it is planned a backup has no tasks
			sealing, held = append(sealing, v.id), append(held, v.token)
		}
	}
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@ids::uuid[], @jobs::bigint[], @states::text[], @tokens::uuid[], @ds::interval[], @workers::text[])
			WITH ORDINALITY AS i (id, job, state, token, d, worker, n)),
		l AS (SELECT b.id FROM {{schema}}.backup b WHERE b.id IN (SELECT i.id FROM i) FOR NO KEY UPDATE OF b SKIP LOCKED)
		UPDATE {{schema}}.backup b SET `+leaseStepSet+` FROM i, l
		WHERE b.id = i.id AND l.id = i.id AND b.river_job_id = i.job AND b.state = i.state AND b.lease_token IS NULL
			AND (b.next_attempt_at IS NULL OR b.next_attempt_at <= now())
			AND (i.state <> 'sealing' OR (SELECT coalesce(sum(t.stored_parts), 0) FROM {{schema}}.backup_task t WHERE t.backup_id = b.id) <= @parts)
		RETURNING `+backupColumns+`, i.n`),
		named{"parts": maxSealParts, "ids": ids, "jobs": jobs, "states": states, "tokens": tokens, "ds": ds, "workers": workers},
	).Query(func(rows pgx.Rows) error {
		return markBackups(rows, calls, func(v *stepClaim, b *Backup) {
			v.work = &StepWork{Lease: Lease{BackupID: v.id, Token: v.token}, Backup: b}
		})
	})
	if len(sealing) > 0 {
		c.queueTasks(batch, sealing, held, func(id string) *StepWork {
			for _, v := range calls {
				if v.id == id && v.ok {
					return v.work
				}
			}
			return nil
		})
	}
}

// queueTasks reads what the manifests of backups are made of, of those that are held
// by now. A backup comes before that in the batch, or is there already; where of
// returns nil it isn't wanted.
func (c *Client) queueTasks(batch *pgx.Batch, ids []string, tokens []uuid.UUID, of func(id string) *StepWork) {
	args := named{"ids": ids, "tokens": tokens}
	batch.Queue(c.sql(`SELECT `+taskColumns+` FROM {{schema}}.backup b JOIN {{schema}}.backup_task t ON t.backup_id = b.id
		WHERE b.id = ANY(@ids::uuid[]) AND b.lease_token = ANY(@tokens::uuid[]) ORDER BY t.provider`), args).
		Query(func(rows pgx.Rows) error {
			tasks, err := pgx.CollectRows(rows, scanTask)
			for _, t := range tasks {
				if w := of(t.BackupID); w != nil {
					w.Backup.Tasks = append(w.Backup.Tasks, t)
				}
			}
			return err
		})
	batch.Queue(c.sql(`SELECT t.backup_id::text, p.task_id::text, p.size, p.crc64
		FROM {{schema}}.backup b JOIN {{schema}}.backup_task t ON t.backup_id = b.id JOIN {{schema}}.backup_part p ON p.task_id = t.id
		WHERE b.id = ANY(@ids::uuid[]) AND b.lease_token = ANY(@tokens::uuid[]) AND t.state = 'done' ORDER BY p.task_id, p.idx`), args).
		Query(func(rows pgx.Rows) error {
			var id, task string
			var size, crc int64
			_, err := pgx.ForEachRow(rows, []any{&id, &task, &size, &crc}, func() error {
				if w := of(id); w != nil {
					if w.parts == nil {
						w.parts = make(map[string][]ManifestPart)
					}
					w.parts[task] = append(w.parts[task], ManifestPart{Size: size, CRC64: fmt.Sprintf("%016x", uint64(crc))}) //nolint:gosec // the same 64 bits
				}
				return nil
			})
			return err
		})
}

// planEnd is FinishPlan.
type planEnd struct {
	call
	lease   Lease
	exports []Planned
	backup  *Backup // as it was before
	older   int     // other open backups of the user
	tasks   []*Task
}

func (l *Ledger) finishPlanned(ctx context.Context, lease Lease, exports []Planned) (finished bool, err error) {
	if l.general || !validID(lease.BackupID) || len(exports) == 0 || len(exports) > maxGroupParts {
		return false, nil
	}
	return l.c.together(ctx, "finish plan", &planEnd{lease: lease, exports: exports})
}

func queuePlans(c *Client, batch *pgx.Batch, calls []*planEnd) {
	ids, tokens := make([]string, len(calls)), make([]uuid.UUID, len(calls))
	for i, v := range calls {
		ids[i], tokens[i] = v.lease.BackupID, v.lease.Token
	}
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@ids::uuid[], @tokens::uuid[]) WITH ORDINALITY AS i (id, token, n)),
		l AS (SELECT b.*, i.n FROM {{schema}}.backup b JOIN i ON i.id = b.id
			WHERE b.state = @pending AND b.lease_token = i.token AND b.cancel_requested_at IS NULL FOR NO KEY UPDATE OF b SKIP LOCKED)
		SELECT `+backupColumns+`, (`+olderThan+`), b.n FROM l b`),
		named{"ids": ids, "tokens": tokens, "pending": StatePending},
	).Query(func(rows pgx.Rows) error {
		var older int
		return markBackups(rows, calls, func(v *planEnd, b *Backup) { v.backup, v.older = b, older }, &older)
	})
}

// plan makes the backup's tasks, and what their River jobs are inserted from.
func (v *planEnd) plan(c *Client) []river.InsertManyParams {
	params := make([]river.InsertManyParams, len(v.exports))
	v.tasks = make([]*Task, len(v.exports))
	for i, e := range v.exports {
		t := &Task{ID: newID(), BackupID: v.backup.ID, Provider: e.Provider, State: TaskPending, uploadID: uuid.New()}
		if t.ObjectKey = c.objectKey(v.backup, t.Provider, t.uploadID); e.Size >= 0 {
			t.AnnouncedSize = &e.Size
		}
		v.tasks[i], params[i] = t, c.taskJob(v.backup, t, rankOf(v.older))
	}
	return params
}

// take gives the tasks their River jobs, and returns the rest of these.
func (v *planEnd) take(jobs []*rivertype.JobInsertResult) []*rivertype.JobInsertResult {
	for i, t := range v.tasks {
		t.riverJobID = &jobs[i].Job.ID
	}
	return jobs[len(v.tasks):]
}

// queuePlanned writes the tasks, and makes their backups running.
func queuePlanned(c *Client, batch *pgx.Batch, planned []*planEnd) error {
	var tasks []*Task
	var of []string
	var events []event
	ids, counts := make([]string, len(planned)), make([]int, len(planned))
	for i, v := range planned {
		ids[i], counts[i] = v.backup.ID, len(v.tasks)
		for _, t := range v.tasks {
			tasks, events, of = append(tasks, t), append(events, event{EventUpdateTask, t.Provider, dataOf(t)}), append(of, t.BackupID)
		}
		events, of = append(events, event{EventUpdateBackup, "", backupData{State: StateRunning}}), append(of, v.backup.ID)
	}
	names, providers, data, err := columnsOf(events)
	if err != nil {
		return err
	}
	c.queueTaskRows(batch, tasks)
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@ids::uuid[], @counts::int[]) AS i (id, tasks)),
		u AS (UPDATE {{schema}}.backup b SET state = 'running', open_tasks = i.tasks, event_seq = b.event_seq + i.tasks + 1, failures = 0,
				error_class = NULL, error = NULL, error_hint = NULL, lease_token = NULL, lease_until = NULL, next_attempt_at = NULL,
				started_at = coalesce(b.started_at, now())
			FROM i WHERE b.id = i.id AND b.state = @pending RETURNING b.id, b.event_seq - i.tasks - 1 AS seq),
		e AS (INSERT INTO {{schema}}.backup_event (backup_id, seq, name, provider, data)
			SELECT u.id, u.seq + row_number() OVER (PARTITION BY u.id ORDER BY e.n), e.name, nullif(e.provider, ''), e.data
			FROM unnest(@of::uuid[], @names::text[], @providers::text[], @data::jsonb[]) WITH ORDINALITY AS e (backup, name, provider, data, n)
			JOIN u ON u.id = e.backup)
		SELECT u.id FROM u`),
		named{"ids": ids, "counts": counts, "of": of, "names": names, "providers": providers, "data": data, "pending": StatePending},
	).Exec(all(len(planned)))
	return nil
}

// manifestSave is SaveManifest.
type manifestSave struct {
	call
	lease Lease
	data  []byte
	key   string
}

// maxGroupBytes bounds what one manifest adds to a group: that of the largest export
// has megabytes, and a message to Postgres may have a gigabyte.
const maxGroupBytes = 64 << 10

// SaveManifest stores the manifest's bytes and key in the row of a sealing
// backup, before they are written to the store. If they are there already it
// returns those. Nothing that goes into the manifest changes while the lease on
// the sealing is held, so that the fence is enough, and what ClaimSeal read is
// still so.
func (l *Ledger) SaveManifest(ctx context.Context, w *StepWork) (data []byte, key string, err error) {
	if data, err = buildManifest(w.Backup, w.Backup.Tasks, w.parts); err != nil {
		return nil, "", err
	}
	v := &manifestSave{lease: w.Lease, data: data, key: l.c.manifestKey(w.Backup)}
	if err := l.alone(ctx, "save manifest", v, len(data) <= maxGroupBytes, func(batch *pgx.Batch, lock string) {
		queueSaves(l.c, batch, []*manifestSave{v}, lock)
	}); err != nil {
		return nil, "", err
	}
	return v.data, v.key, nil
}

// alone writes a verb that has no general way in a group, if it is small enough, and,
// if its row was locked or isn't as it must be, by itself, which tells.
func (l *Ledger) alone(ctx context.Context, what string, v verb, small bool, queue func(batch *pgx.Batch, lock string)) error {
	if small && !l.general {
		if ok, err := l.c.together(ctx, what, v); ok || err != nil {
			return err
		}
	}
	var batch pgx.Batch
	queue(&batch, "")
	if err := l.c.cfg.Pool.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !v.base().ok {
		return fmt.Errorf("%s: %w", what, ErrLeaseLost)
	}
	single := new(group)
	v.join(single)
	l.c.notify(single.changed()...) //nolint:contextcheck // sent for others, too
	return nil
}

const skipLocked = " SKIP LOCKED"

func queueManifests(c *Client, batch *pgx.Batch, calls []*manifestSave) {
	queueSaves(c, batch, calls, skipLocked)
}

// lockSealing is l: the sealing backups in i whose lease is held. It takes @sealing.
const lockSealing = `l AS (SELECT b.id, i.n FROM {{schema}}.backup b JOIN i ON i.id = b.id
	WHERE b.lease_token = i.token AND b.state = @sealing FOR NO KEY UPDATE OF b`

func queueSaves(c *Client, batch *pgx.Batch, calls []*manifestSave, lock string) {
	n := len(calls)
	ids, tokens, data, keys := make([]string, n), make([]uuid.UUID, n), make([][]byte, n), make([]string, n)
	for i, v := range calls {
		ids[i], tokens[i], data[i], keys[i] = v.lease.BackupID, v.lease.Token, v.data, v.key
	}
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@ids::uuid[], @tokens::uuid[], @data::bytea[], @keys::text[]) WITH ORDINALITY AS i (id, token, data, key, n)),
		`+lockSealing+lock+`)
		UPDATE {{schema}}.backup b SET manifest = coalesce(b.manifest, i.data), manifest_key = coalesce(b.manifest_key, i.key)
		FROM l JOIN i ON i.n = l.n WHERE b.id = l.id RETURNING b.manifest, b.manifest_key, l.n`),
		named{"ids": ids, "tokens": tokens, "data": data, "keys": keys, "sealing": StateSealing},
	).Query(func(rows pgx.Rows) error {
		var stored []byte
		var key string
		var n int
		_, err := pgx.ForEachRow(rows, []any{&stored, &key, &n}, func() error {
			v := calls[n-1]
			v.data, v.key, v.ok = append([]byte(nil), stored...), key, true
			return nil
		})
		return err
	})
}

// sealEnd is FinishSeal.
type sealEnd struct {
	call
	lease Lease
}

// FinishSeal makes a sealing backup done. Its manifest must be in the store.
func (l *Ledger) FinishSeal(ctx context.Context, lease Lease) error {
	if !validID(lease.BackupID) {
		return ErrNotFound
	}
	v := &sealEnd{lease: lease}
	return l.alone(ctx, "finish backup", v, true, func(batch *pgx.Batch, lock string) { queueDone(l.c, batch, []*sealEnd{v}, lock) })
}

func queueSeals(c *Client, batch *pgx.Batch, calls []*sealEnd) {
	queueDone(c, batch, calls, skipLocked)
}

func queueDone(c *Client, batch *pgx.Batch, calls []*sealEnd, lock string) {
	ids, tokens := make([]string, len(calls)), make([]uuid.UUID, len(calls))
	for i, v := range calls {
		ids[i], tokens[i] = v.lease.BackupID, v.lease.Token
	}
	data, _ := json.Marshal(backupData{State: StateDone}) // a string only: it can't fail
	batch.Queue(c.sql(`WITH
		i AS (SELECT * FROM unnest(@ids::uuid[], @tokens::uuid[]) WITH ORDINALITY AS i (id, token, n)),
		`+lockSealing+lock+`),
		u AS (UPDATE {{schema}}.backup b SET state = 'done', finished_at = now(), event_seq = b.event_seq + 1,
				error_class = NULL, error = NULL, error_hint = NULL, lease_token = NULL, lease_until = NULL, next_attempt_at = NULL, cancel_requested_at = NULL
			FROM l WHERE b.id = l.id RETURNING b.id, b.event_seq, l.n),
		e AS (INSERT INTO {{schema}}.backup_event (backup_id, seq, name, data) SELECT u.id, u.event_seq, @name, @data FROM u)
		SELECT u.n FROM u`),
		named{"ids": ids, "tokens": tokens, "name": string(EventUpdateBackup), "data": data, "sealing": StateSealing},
	).Query(func(rows pgx.Rows) error { return mark(rows, calls) })
}
