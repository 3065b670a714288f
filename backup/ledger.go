package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Ledger is how workers read and write what they do: package jobs uses it, and
// nobody else needs to. Every write after a claim is fenced by the lease's
// token: once another worker has claimed the row, or it has left the state
// that the verb is for, the verb returns ErrLeaseLost and writes nothing.
type Ledger struct {
	c       *Client
	general bool          // never a single statement; for tests
	leases  *pgxpool.Pool // of Renew; nil: the client's
}

// Ledger returns the workers' verbs. They need Config.Pool.
func (c *Client) Ledger() *Ledger { return &Ledger{c: c} }

// RenewOn returns a ledger that renews leases on connections of pool, or of the client's
// where pool is nil.
func (l *Ledger) RenewOn(pool *pgxpool.Pool) *Ledger {
	return &Ledger{c: l.c, general: l.general, leases: pool}
}

// Lease is the right to work on a task, or on a step of a backup (its planning,
// sealing, deletion or verification), until it ends without being renewed.
type Lease struct {
	BackupID string
	TaskID   string    // empty for the lease on a step
	Token    uuid.UUID // random, 128 bits
}

// ClaimParams say who claims, and for how long.
type ClaimParams struct {
	JobID    int64  // the River job that the worker runs
	Worker   string // the worker's name, for operators
	Duration time.Duration
}

// IdleError means that a River job has nothing to do: what it is for has ended,
// or belongs to another River job. Done is true when it has ended well.
type IdleError struct {
	Reason string
	Done   bool
}

func (e *IdleError) Error() string { return e.Reason }

// LeasedError means that another worker's lease is alive.
type LeasedError struct{ Remaining time.Duration }

func (e *LeasedError) Error() string {
	return fmt.Sprintf("another worker holds the lease for %s more", e.Remaining.Round(time.Second))
}

// EarlyError means that the next attempt isn't due yet: the source or the store has
// asked to be left alone, the last attempt failed, or workers died one after another.
type EarlyError struct {
	At        time.Time     // when it is due, by the clock of the database
	Remaining time.Duration // until then
}

func (e *EarlyError) Error() string {
	return fmt.Sprintf("the next attempt is due at %s, in %s", e.At.UTC().Format(time.RFC3339), e.Remaining.Round(time.Second))
}

// Beat is what a worker last knows of a lease.
type Beat struct {
	Lease
	ReceivedBytes int64 // of a task: read from the source so far
	Rate          int64 // of a task: bytes a second
}

// Renew renews leases for d from now. It returns the tokens of those that are
// still held, with whether they were renewed: one that has ended isn't held any
// more, even if nobody else has claimed it yet, since its room may be taken; and
// one whose row is locked by somebody's transaction isn't renewed, this time, and doesn't hold up the others. It
// isn't an error that some are not held any more.
func (l *Ledger) Renew(ctx context.Context, beats []Beat, d time.Duration) (map[uuid.UUID]bool, error) {
	held := make(map[uuid.UUID]bool, len(beats))
	var taskTokens, stepTokens []uuid.UUID
	var tasks, backups []string
	var received, rates []int64
	for _, b := range beats {
		if b.TaskID == "" {
			stepTokens, backups = append(stepTokens, b.Token), append(backups, b.BackupID)
			continue
		}
		taskTokens, tasks = append(taskTokens, b.Token), append(tasks, b.TaskID)
		received, rates = append(received, b.ReceivedBytes), append(rates, b.Rate)
	}
	if len(tasks) > 0 {
		err := l.renew(ctx, held, renewal("backup_task", ", received_bytes = greatest(r.received_bytes, u.received), rate = u.rate"),
			named{"ids": tasks, "tokens": taskTokens, "received": received, "rates": rates, "d": d})
		if err != nil {
			return nil, err
		}
	}
	if len(backups) > 0 {
		none := make([]int64, len(backups))
		err := l.renew(ctx, held, renewal("backup", ""),
			named{"ids": backups, "tokens": stepTokens, "received": none, "rates": none, "d": d})
		if err != nil {
			return nil, err
		}
	}
	return held, nil
}

// renewal is the statement that renews the leases in a table.
func renewal(table, set string) string {
	return `WITH u AS (SELECT * FROM unnest(@ids::uuid[], @tokens::uuid[], @received::bigint[], @rates::bigint[]) AS u (id, token, received, rate)),
		free AS (SELECT r.id FROM {{schema}}.` + table + ` r JOIN u ON r.id = u.id AND r.lease_token = u.token AND r.lease_until > now() FOR NO KEY UPDATE OF r SKIP LOCKED),
		renewed AS (UPDATE {{schema}}.` + table + ` r SET lease_until = now() + @d::interval` + set + `
			FROM u JOIN free ON free.id = u.id WHERE r.id = u.id AND r.lease_token = u.token RETURNING r.lease_token)
		SELECT u.token, renewed.lease_token IS NOT NULL FROM u JOIN {{schema}}.` + table + ` r ON r.id = u.id AND r.lease_token = u.token AND r.lease_until > now()
		LEFT JOIN renewed ON renewed.lease_token = u.token`
}

func (l *Ledger) renew(ctx context.Context, held map[uuid.UUID]bool, query string, args named) error {
	rows, err := cmp.Or(l.leases, l.c.cfg.Pool).Query(ctx, l.c.sql(query), args)
	if err != nil {
		return fmt.Errorf("renew leases: %w", err)
	}
	var token uuid.UUID
	var renewed bool
	_, err = pgx.ForEachRow(rows, []any{&token, &renewed}, func() error {
		held[token] = renewed
		return nil
	})
	if err != nil {
		return fmt.Errorf("renew leases: %w", err)
	}
	return nil
}

// Abandoned reports whether nobody holds a lease on the task or, where taskID
// is empty, on a step of the backup: a River job that still runs for it can be
// rescued.
func (l *Ledger) Abandoned(ctx context.Context, backupID, taskID string) (abandoned bool, err error) {
	query, id := `SELECT coalesce(lease_until < now(), true) FROM {{schema}}.backup_task WHERE id = @id`, taskID
	if taskID == "" {
		query, id = `SELECT coalesce(lease_until < now(), true) FROM {{schema}}.backup WHERE id = @id`, backupID
	}
	if !validID(id) {
		return true, nil
	}
	err = l.c.cfg.Pool.QueryRow(ctx, l.c.sql(query), named{"id": id}).Scan(&abandoned)
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read lease: %w", err)
	}
	return abandoned, nil
}

// Outcome is what became of an attempt that failed.
type Outcome struct {
	Final bool          // no further attempt
	Delay time.Duration // until the next attempt
}

// RetryPolicy bounds the attempts.
type RetryPolicy struct {
	MaxAttempts int
	RetryFor    time.Duration // from the first failure on, or from when the task last came further; 0: no bound
}

// maxDelay is the longest that anything is put off.
const maxDelay = 24 * time.Hour

// decide says what follows on the failure, which isn't counted yet. age is the
// time from which RetryFor counts.
func (p RetryPolicy) decide(f *ClassError, failures int, age time.Duration) Outcome {
	delay := backoff(failures + 1)
	switch f.Class {
	case ClassPermanent:
		return Outcome{Final: true}
	case ClassRetryAfter:
		if delay = max(f.After, time.Second); f.After <= 0 {
			delay = patience(age)
		}
	default:
		if failures+1 >= p.MaxAttempts {
			return Outcome{Final: true}
		}
	}
	if p.RetryFor > 0 && delay > p.RetryFor-age {
		return Outcome{Final: true}
	}
	return Outcome{Delay: min(delay, maxDelay)}
}
