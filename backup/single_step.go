package backup

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// claimFreeStep is ClaimPlan or ClaimSeal of a backup that is in that state, is
// the River job's, and is held by nobody. It returns nil where it isn't.
func (l *Ledger) claimFreeStep(ctx context.Context, id string, p ClaimParams, state State, token uuid.UUID) (*StepWork, error) {
	if l.general || !validID(id) {
		return nil, nil //nolint:nilnil // go the general way
	}
	w := &StepWork{Lease: Lease{BackupID: id, Token: token}}
	var batch pgx.Batch // one round trip, and one transaction
	batch.Queue(l.c.sql(`UPDATE {{schema}}.backup b SET `+leaseStepSet+`
		WHERE b.id = @id AND b.river_job_id = @job AND b.state = @state AND (b.lease_until IS NULL OR b.lease_until < now())
		RETURNING `+backupColumns),
		named{"id": id, "job": p.JobID, "state": string(state), "token": token, "d": p.Duration, "worker": p.Worker},
	).Query(func(rows pgx.Rows) (err error) {
		w.Backup, err = pgx.CollectOneRow(rows, scanBackup)
		return err
	})
	if state == StateSealing { // before it is planned a backup has no tasks
		l.c.queueTasks(&batch, w)
	}
	err := l.c.cfg.Pool.SendBatch(ctx, &batch).Close()
	if isNoRows(err) {
		return nil, nil //nolint:nilnil // go the general way
	}
	if err != nil {
		return nil, fmt.Errorf("claim backup: %w", err)
	}
	return w, nil
}

// queueTasks reads what w has of its backup's tasks, which is all of the manifest.
// Its backup comes before them in the batch, or is there already.
func (c *Client) queueTasks(batch *pgx.Batch, w *StepWork) {
	args := named{"id": w.BackupID}
	batch.Queue(c.sql(tasksOf), args).Query(func(rows pgx.Rows) (err error) {
		w.Backup.Tasks, err = pgx.CollectRows(rows, scanTask)
		return err
	})
	batch.Queue(c.sql(`SELECT p.task_id::text, p.size, p.crc64 FROM {{schema}}.backup_part p JOIN {{schema}}.backup_task t ON t.id = p.task_id
		WHERE t.backup_id = @id AND t.state = 'done' ORDER BY p.task_id, p.idx`), args).Query(func(rows pgx.Rows) error {
		w.parts = make(map[string][]ManifestPart)
		var task string
		var size, crc int64
		_, err := pgx.ForEachRow(rows, []any{&task, &size, &crc}, func() error {
			w.parts[task] = append(w.parts[task], ManifestPart{Size: size, CRC64: fmt.Sprintf("%016x", uint64(crc))}) //nolint:gosec // the same 64 bits
			return nil
		})
		return err
	})
}

// SaveManifest stores the manifest's bytes and key in the row of a sealing
// backup, before they are written to the store. If they are there already it
// returns those. Nothing that goes into the manifest changes while the lease on
// the sealing is held, so that the fence is enough, and what ClaimSeal read is
// still so.
func (l *Ledger) SaveManifest(ctx context.Context, w *StepWork) (data []byte, key string, err error) {
	if data, err = buildManifest(w.Backup, w.Backup.Tasks, w.parts); err != nil {
		return nil, "", err
	}
	err = l.c.cfg.Pool.QueryRow(ctx, l.c.sql(`
		UPDATE {{schema}}.backup SET manifest = coalesce(manifest, @data), manifest_key = coalesce(manifest_key, @key)
		WHERE id = @id AND lease_token = @token AND state = 'sealing' RETURNING manifest, manifest_key`),
		named{"id": w.BackupID, "token": w.Token, "data": data, "key": l.c.manifestKey(w.Backup)}).Scan(&data, &key)
	if isNoRows(err) {
		err = ErrLeaseLost
	}
	if err != nil {
		return nil, "", fmt.Errorf("save manifest: %w", err)
	}
	return data, key, nil
}

// FinishSeal makes a sealing backup done. Its manifest must be in the store.
func (l *Ledger) FinishSeal(ctx context.Context, lease Lease) error {
	if !validID(lease.BackupID) {
		return ErrNotFound
	}
	data, err := json.Marshal(backupData{State: StateDone})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	done, err := l.single(ctx, lease.BackupID, "finish backup", `
		WITH u AS (UPDATE {{schema}}.backup b SET state = 'done', finished_at = now(), event_seq = b.event_seq + 1,
				error_class = NULL, error = NULL, error_hint = NULL, lease_token = NULL, lease_until = NULL, next_attempt_at = NULL, cancel_requested_at = NULL
			WHERE b.id = @id AND b.lease_token = @token AND b.state = 'sealing' RETURNING b.id, b.event_seq)
		INSERT INTO {{schema}}.backup_event (backup_id, seq, name, data) SELECT u.id, u.event_seq, @name, @data FROM u`,
		named{"id": lease.BackupID, "token": lease.Token, "name": string(EventUpdateBackup), "data": data})
	if err == nil && !done {
		return fmt.Errorf("finish backup: %w", ErrLeaseLost)
	}
	return err
}
