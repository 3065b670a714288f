package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// LockWorkerID is the statement that takes the session-level advisory lock of a
// stable worker id, and says whether that was possible: no other session has it.
const LockWorkerID = `SELECT pg_try_advisory_lock(hashtextextended('sitebackup worker ' || $1 || ' ' || $2, 0))`

// leasedBy selects what a worker holds a lease on. No index has that, so it looks at what
// has one: backups that are open, or that something was asked for.
const leasedBy = `SELECT t.backup_id::text, t.id::text FROM {{schema}}.backup b JOIN {{schema}}.backup_task t ON t.backup_id = b.id
		WHERE b.state = 'running' AND t.lease_worker = @worker AND t.lease_token IS NOT NULL
	UNION ALL SELECT id::text, '' FROM {{schema}}.backup WHERE state IN ('pending', 'sealing') AND lease_worker = @worker AND lease_token IS NOT NULL
	UNION ALL SELECT id::text, '' FROM {{schema}}.backup WHERE state IN ('deleting', 'done') AND requested_at IS NOT NULL AND lease_worker = @worker AND lease_token IS NOT NULL`

// TakeBack ends the leases that an earlier process of the worker's name left
// behind when it died, and gives each task a new River job, so that it goes on at
// once. It returns how many there were. The caller must have made sure that no
// process of that name is alive. Should one be nevertheless, it loses its leases
// and stops: nothing is written twice.
func (l *Ledger) TakeBack(ctx context.Context, worker string) (taken int, err error) {
	rows, err := l.c.cfg.Pool.Query(ctx, l.c.sql(leasedBy), named{"worker": worker})
	if err != nil {
		return 0, fmt.Errorf("find leases of worker: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (lease Lease, err error) {
		return lease, row.Scan(&lease.BackupID, &lease.TaskID)
	})
	if err != nil {
		return 0, fmt.Errorf("find leases of worker: %w", err)
	}
	for _, lease := range found {
		var did bool
		ok, err := l.c.changeSoon(ctx, lease.BackupID, func(ch *change) (err error) {
			did, err = ch.takeBack(ctx, lease, worker)
			return err
		})
		if err != nil {
			return taken, err
		}
		if ok && did { // a lease that wasn't taken back ends by itself
			taken++
		}
	}
	return taken, nil
}

// takeBack looks again, now that the backup is locked.
func (ch *change) takeBack(ctx context.Context, lease Lease, worker string) (bool, error) {
	table, id := "backup_task", lease.TaskID
	if id == "" {
		table, id = "backup", lease.BackupID
	}
	var still bool
	err := ch.tx.QueryRow(ctx, ch.c.sql(`SELECT lease_token IS NOT NULL AND lease_worker = @worker FROM {{schema}}.`+table+` WHERE id = @id FOR NO KEY UPDATE`),
		named{"id": id, "worker": worker}).Scan(&still)
	if err != nil || !still {
		return false, err
	}
	if lease.TaskID != "" {
		t, err := ch.task(ctx, lease.TaskID)
		if err != nil {
			return false, err
		}
		if ch.ending() && t.State == TaskRunning {
			return true, ch.endTask(ctx, t, TaskCanceled, nil)
		}
		if err := ch.keepSlot(ctx, t); err != nil {
			return false, err
		}
		n := t.lostInARow()
		if n >= maxLost {
			return true, ch.failLost(ctx, t, n)
		}
		if err := ch.postponeTask(ctx, t, AttemptLost, nil, lostWait(n)); err != nil {
			return false, err
		}
		if t, err = ch.task(ctx, t.ID); err != nil { // with the time of its next attempt
			return false, err
		}
		return true, ch.insertTaskJobs(ctx, []*Task{t})
	}
	// The lease ends as if nobody had come back, and the next claim counts it as one.
	_, err = ch.tx.Exec(ctx, ch.c.sql(`UPDATE {{schema}}.backup SET lease_token = gen_random_uuid(), lease_until = least(lease_until, now()), lease_worker = ''
		WHERE id = @id`), named{"id": id})
	if err != nil {
		return false, fmt.Errorf("end lease: %w", err)
	}
	return true, ch.requeue(ctx, stray{BackupID: id})
}
