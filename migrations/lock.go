package migrations

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	lockPoll     = 100 * time.Millisecond
	closeTimeout = 5 * time.Second
)

// lockKey is the same in every release, for releases migrate side by side.
func lockKey(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("sitebackup migrations " + schema))
	return int64(h.Sum64()) //nolint:gosec // all 64 bits matter, not the sign
}

// locked calls run while it holds the lock of the schema.
//
// The lock lives in a transaction, not in a session: a session's lock gets lost
// in a pooler that gives each transaction another connection. Its connection is
// taken out of the pool, else those who wait would occupy the connections that
// the one who works needs.
func (m *migrator) locked(ctx context.Context, run func(context.Context) error) error {
	pooled, err := m.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	conn := pooled.Hijack()
	defer closeConn(ctx, conn)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}) // keeps no snapshot while it is idle
	if err != nil {
		return fmt.Errorf("begin transaction of the migration lock: %w", err)
	}
	defer rollback(ctx, tx)
	if err := m.lock(ctx, tx); err != nil {
		return err
	}
	return run(ctx)
}

// lock asks again and again, for a statement that waits in Postgres would keep
// a snapshot, and migrations that wait for old snapshots would wait for it.
func (m *migrator) lock(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, idleForever); err != nil {
		return fmt.Errorf("prepare migration lock: %w", err)
	}
	key := lockKey(m.cfg.Schema)
	patience := time.NewTimer(m.cfg.LockTimeout)
	defer patience.Stop()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		var mine bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, key).Scan(&mine); err != nil {
			return fmt.Errorf("take migration lock: %w", err)
		}
		if mine {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for migration lock: %w", context.Cause(ctx))
		case <-patience.C:
			return m.lockTimeout(ctx, tx, key)
		case <-tick.C:
		}
	}
}

// idleForever lifts the limits of a server that ends transactions for being
// long or idle. Only settings that this server has can be set.
const idleForever = `SELECT set_config(name, '0', true) FROM pg_settings
	WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')`

// lockTimeout names the process that has the lock, for the operator to look at.
func (m *migrator) lockTimeout(ctx context.Context, tx pgx.Tx, key int64) error {
	const holder = `SELECT pid FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND objsubid = 1
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND (classid::bigint << 32 | objid::bigint) = $1`
	var pid int
	err := tx.QueryRow(ctx, holder, key).Scan(&pid)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("wait for migration lock of schema %q: not got in %s", m.cfg.Schema, m.cfg.LockTimeout)
	case err != nil:
		return fmt.Errorf("look for holder of migration lock: %w", err)
	}
	return fmt.Errorf("wait for migration lock of schema %q: not got in %s, server process %d has it", m.cfg.Schema, m.cfg.LockTimeout, pid)
}

// rollback ends the transaction, and with it the lock, before the caller goes
// on. That it fails means that the connection is gone, and so is the lock.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx)
}
