package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const backupColumns = `b.id, b.user_id, b.site_id, b.state, b.providers, b.labels, b.continue_on_failure,
	b.created_at, b.started_at, b.finished_at, b.cancel_requested_at, b.next_attempt_at,
	b.error_class, b.error, b.error_hint, coalesce(b.manifest_key, ''), b.held_at, coalesce(b.hold_reason, ''), now() - b.requested_at, b.verified_at, b.corrupt_at, b.verification,
	coalesce(b.max_size, 0), b.open_tasks, b.failed_tasks, b.event_seq, b.river_job_id, b.failures, b.generation, b.lease_token, b.lost, coalesce(b.schedule_id::text, ''), b.slot`

func scanBackup(row pgx.CollectableRow) (*Backup, error) { return scanBackupAnd(row) }

// scanStarted also scans how many other backups the user has open.
func scanStarted(row pgx.CollectableRow) (*Backup, error) {
	var older int
	b, err := scanBackupAnd(row, &older)
	b.older = older
	return b, err
}

func scanBackupAnd(row pgx.CollectableRow, more ...any) (*Backup, error) {
	var b Backup
	var f failureColumns
	err := row.Scan(append([]any{&b.ID, &b.UserID, &b.SiteID, &b.State, &b.Providers, &b.Labels, &b.ContinueOnFailure,
		&b.CreatedAt, &b.StartedAt, &b.FinishedAt, &b.CancelRequestedAt, &b.NextAttemptAt,
		&f.class, &f.message, &f.hint, &b.ManifestKey, &b.HeldAt, &b.HoldReason, &b.requestedAge, &b.VerifiedAt, &b.CorruptAt, &b.Verification,
		&b.MaxSize, &b.openTasks, &b.failedTasks, &b.eventSeq, &b.riverJobID, &b.failures, &b.generation, &b.leaseToken, &b.lost, &b.ScheduleID, &b.Slot,
	}, more...)...)
	b.Failure = f.failure()
	if b.State != StateDone {
		b.ManifestKey = "" // it may not be there yet
	}
	return &b, err
}

const taskColumns = `t.id, t.backup_id, t.provider, t.state, t.failures, t.next_attempt_at, t.started_at, t.finished_at,
	t.error_class, t.error, t.error_hint, t.received_bytes, t.stored_bytes, t.stored_parts, t.announced_size,
	t.object_key, t.content_type, coalesce(t.size, 0), t.sha256, coalesce(t.proof, ''), t.capture_started_at, t.capture_finished_at,
	t.river_job_id, t.lease_token, t.upload_id, t.validator, t.hash_state,
	t.attempts, t.rate, t.cursor, t.staged_at, t.from_bytes, t.progress_bytes, now() - t.progress_at,
	t.announced_sha256`

func scanTask(row pgx.CollectableRow) (*Task, error) {
	t, f := new(Task), new(failureColumns)
	err := row.Scan(taskDest(t, f)...)
	return t.complete(f), err
}

// taskDest is where taskColumns go.
func taskDest(t *Task, f *failureColumns) []any {
	return []any{&t.ID, &t.BackupID, &t.Provider, &t.State, &t.failures, &t.NextAttemptAt, &t.StartedAt, &t.FinishedAt,
		&f.class, &f.message, &f.hint, &t.ReceivedBytes, &t.StoredBytes, &t.StoredParts, &t.AnnouncedSize,
		&t.ObjectKey, &t.ContentType, &t.Size, &t.SHA256, &t.Proof, &t.CaptureStartedAt, &t.CaptureFinishedAt,
		&t.riverJobID, &t.leaseToken, &t.uploadID, &t.validator, &t.hashState,
		&t.Attempts, &t.Rate, &t.cursor, &t.stagedAt, &t.fromBytes, &t.progressBytes, &t.age,
		&t.announcedSum}
}

// complete derives what isn't a column of its own.
func (t *Task) complete(f *failureColumns) *Task {
	t.Failure = f.failure()
	if t.Attempt = t.failures; t.StartedAt != nil && t.State != TaskFailed {
		t.Attempt++
	}
	return t
}

type failureColumns struct{ class, message, hint *string }

func (f failureColumns) failure() *Failure {
	if f.class == nil {
		return nil
	}
	return &Failure{Class: Class(*f.class), Message: deref(f.message), Hint: deref(f.hint)}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// backups runs a query over the alias b.
func (c *Client) backups(ctx context.Context, q querier, tail string, args named) ([]*Backup, error) {
	rows, err := q.Query(ctx, c.sql("SELECT "+backupColumns+" FROM {{schema}}.backup b "+tail), args)
	if err != nil {
		return nil, fmt.Errorf("read backups: %w", err)
	}
	bs, err := pgx.CollectRows(rows, scanBackup)
	if err != nil {
		return nil, fmt.Errorf("read backups: %w", err)
	}
	return bs, nil
}

// oneBackup is backups for a query that yields one row at most.
func (c *Client) oneBackup(ctx context.Context, q querier, tail string, args named) (*Backup, error) {
	bs, err := c.backups(ctx, q, tail, args)
	if err != nil {
		return nil, err
	}
	if len(bs) == 0 {
		return nil, ErrNotFound
	}
	return bs[0], nil
}

const tasksOf = "SELECT " + taskColumns + " FROM {{schema}}.backup_task t WHERE t.backup_id = @id ORDER BY t.provider"

// tasks reads a backup's tasks in the order of their providers.
func (c *Client) tasks(ctx context.Context, q querier, backupID string) ([]*Task, error) {
	rows, err := q.Query(ctx, c.sql(tasksOf),
		named{"id": backupID})
	if err != nil {
		return nil, fmt.Errorf("read tasks: %w", err)
	}
	ts, err := pgx.CollectRows(rows, scanTask)
	if err != nil {
		return nil, fmt.Errorf("read tasks: %w", err)
	}
	return ts, nil
}

// oneRow is nil when a statement touched the one row it is for, and
// ErrLeaseLost when its guard held it off.
func oneRow(n int64, err error, what string) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case n == 0:
		return fmt.Errorf("%s: %w", what, ErrLeaseLost)
	default:
		return nil
	}
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
