package backup

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// claimFresh is ClaimTask of a task that nobody holds, so that no attempt ends,
// and that has no journal. It returns nil where it isn't one.
func (l *Ledger) claimFresh(ctx context.Context, a TaskArgs, token uuid.UUID, p ClaimParams) (*TaskWork, error) {
	if l.general || !validID(a.BackupID) || !validID(a.TaskID) || l.c.limited(a.Provider) {
		return nil, nil //nolint:nilnil // go the general way
	}
	end, err := l.c.turns.take(ctx, a.BackupID)
	if err != nil {
		return nil, fmt.Errorf("claim task: %w", err)
	}
	defer end()
	rows, err := l.c.cfg.Pool.Query(ctx, l.c.sql(`WITH `+lockRunning+`,
		t AS (UPDATE {{schema}}.backup_task t SET `+leaseTaskSet+`, rate = 0
			WHERE `+ofLocked+` AND t.provider = @provider AND t.river_job_id = @job AND t.state = 'pending' AND t.lease_token IS NULL AND t.stored_parts = 0
			RETURNING t.*),
		`+announceTask+`
		SELECT `+backupColumns+`, `+taskColumns+` FROM l b, t`),
		named{"backup": a.BackupID, "id": a.TaskID, "provider": a.Provider, "job": p.JobID, "token": token, "d": p.Duration, "worker": p.Worker})
	if err != nil {
		return nil, fmt.Errorf("claim task: %w", err)
	}
	w, err := pgx.CollectOneRow(rows, func(row pgx.CollectableRow) (*TaskWork, error) {
		t, f := new(Task), new(failureColumns)
		b, err := scanBackupAnd(row, taskDest(t, f)...)
		return newWork(b, t.complete(f), token), err
	})
	if isNoRows(err) {
		return nil, nil //nolint:nilnil // go the general way
	}
	if err != nil {
		return nil, fmt.Errorf("claim task: %w", err)
	}
	return w, nil
}

// openFirst is OpenTask where nothing was ever staged: there is nothing to empty,
// and the upload keeps its id. It touches no row but the task's.
func (l *Ledger) openFirst(ctx context.Context, w *TaskWork, s Source) (opened bool, err error) {
	if l.general || w.Task.CaptureStartedAt != nil {
		return false, nil
	}
	return l.single(ctx, w.BackupID, "open task", `
		UPDATE {{schema}}.backup_task SET `+captureSet+`, received_bytes = 0, rate = 0
		WHERE id = @id AND lease_token = @token AND state = 'running' AND capture_started_at IS NULL AND stored_parts = 0 AND upload_id = @upload`,
		capturing(s, named{"id": w.TaskID, "token": w.Token, "upload": w.UploadID}))
}

// gateWhole is GateTask of an export that was staged as a whole before anything of
// it was journaled, of a backup without a limit.
func (l *Ledger) gateWhole(ctx context.Context, w *TaskWork, content *blob.Content, proof Proof) (gated bool, err error) {
	if l.general || w.Backup.MaxSize != 0 || !inOrder(content.Parts, 0) || sizeOf(content.Parts) != content.Size {
		return false, nil
	}
	return l.single(ctx, w.BackupID, "pass commit gate", `WITH `+lockRunning+`,
		t AS (UPDATE {{schema}}.backup_task t SET `+gateSet+`
			WHERE `+ofLocked+` AND t.lease_token = @token AND t.state = 'running' AND t.stored_parts = 0 AND t.rate = 0
			RETURNING t.*),
		p AS (INSERT INTO {{schema}}.backup_part (task_id, idx, part_id, size, crc64)
			SELECT t.id, p.* FROM t, unnest(@idx::int[], @ids::text[], @sizes::bigint[], @crcs::bigint[]) AS p),
		`+announceTask+` SELECT FROM t`,
		partColumns(content.Parts, gating(content, proof, named{"backup": w.BackupID, "id": w.TaskID, "token": w.Token})))
}

// finishOne is FinishTask of a task that isn't its backup's last.
func (l *Ledger) finishOne(ctx context.Context, lease Lease) (finished bool, err error) {
	if l.general {
		return false, nil
	}
	return l.single(ctx, lease.BackupID, "finish task", `WITH `+lockRunning+`,
		t AS (UPDATE {{schema}}.backup_task t SET `+endTaskSet+`
			WHERE `+ofLocked+` AND (SELECT open_tasks > 1 FROM l) AND t.lease_token = @token AND t.state = 'committing'
			RETURNING t.*),
		u AS (UPDATE {{schema}}.backup b SET event_seq = b.event_seq + 1, open_tasks = b.open_tasks - 1
			WHERE b.id = @backup AND EXISTS (SELECT FROM t) RETURNING b.event_seq),
		`+taskEvent+` SELECT FROM t`,
		ending(AttemptDone, nil, 0, named{"backup": lease.BackupID, "id": lease.TaskID, "token": lease.Token, "state": TaskDone}))
}
