package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A worker that dies is no failure of the task it held. But a task may be what kills
// its workers, and each time whatever else they held with them. So when workers die one
// after another without storing more of the export, the task goes on at once only
// lostAtOnce times, then behind a wait that grows, so that the others get on in between.
// When maxLost have died, which takes more than half a day, it fails. A byte more that is
// stored, a failure or a handover begins the count again. The steps of a backup are bounded
// in the same way.
const (
	maxLost       = 20
	lostAtOnce    = 2
	lostFirstWait = time.Minute
	lostMostWait  = time.Hour
)

// lostInARow counts the workers that have died one after another without storing more
// of the export than any before, the one whose lease the task has included.
func (t *Task) lostInARow() (n int) {
	var most int64
	count := func(outcome AttemptOutcome, stored int64) {
		if n++; outcome != AttemptLost || stored > most {
			n = 0
		}
		most = max(most, stored)
	}
	for _, a := range t.Attempts {
		count(a.Outcome, a.StoredBytes)
	}
	count(AttemptLost, t.StoredBytes)
	return n
}

// lostWait is how long a task is left alone when n workers in a row have died.
func lostWait(n int) time.Duration {
	if n <= lostAtOnce {
		return 0
	}
	return min(lostFirstWait<<min(n-lostAtOnce-1, 10), lostMostWait)
}

// early returns an *EarlyError for a task whose next attempt isn't due yet. One whose
// workers died too often it fails.
func (ch *change) early(ctx context.Context, t *Task) (failed bool, err error) {
	if t.NextAttemptAt != nil {
		return false, early(ctx, ch.tx, *t.NextAttemptAt)
	}
	if t.leaseToken == nil {
		return false, nil
	}
	n := t.lostInARow()
	if failed, err = ch.c.tooMany(ctx, ch.tx, "backup_task", t.ID, n); failed {
		return true, ch.failLost(ctx, t, n)
	}
	return false, err
}

// earlyStep is early of the step of a backup that is locked.
func (l *Ledger) earlyStep(ctx context.Context, tx pgx.Tx, b *Backup) (failed bool, err error) {
	if b.NextAttemptAt != nil {
		return false, early(ctx, tx, *b.NextAttemptAt)
	}
	if b.leaseToken == nil {
		return false, nil
	}
	n := b.lost + 1
	if failed, err = l.c.tooMany(ctx, tx, "backup", b.ID, n); !failed {
		return false, err
	}
	return true, l.c.changeLocked(ctx, tx, b, func(ch *change) error {
		if err := l.endStepLease(ctx, tx, Lease{BackupID: b.ID, Token: *b.leaseToken}, 0); err != nil {
			return err
		}
		return ch.failStep(&Failure{
			Class:   ClassPermanent,
			Message: fmt.Sprintf("%d workers have died one after another at this step of the backup", n),
			Hint:    "look at the workers' logs and memory; then try again",
		})
	})
}

// tooMany reports whether n workers that died in a row are too many, once the last one's
// lease has ended. While the row is to be left alone it returns an *EarlyError.
func (c *Client) tooMany(ctx context.Context, tx pgx.Tx, table, id string, n int) (bool, error) {
	if n <= lostAtOnce {
		return false, nil
	}
	var until time.Time
	var alive bool
	err := tx.QueryRow(ctx, c.sql(`SELECT lease_until, lease_until > now() FROM {{schema}}.`+table+` WHERE id = @id`), named{"id": id}).Scan(&until, &alive)
	switch {
	case err != nil:
		return false, fmt.Errorf("read lease: %w", err)
	case alive:
		return false, nil
	case n >= maxLost:
		return true, nil
	}
	return false, early(ctx, tx, until.Add(lostWait(n)))
}

// early returns an *EarlyError before at, by the clock of the database.
func early(ctx context.Context, tx pgx.Tx, at time.Time) error {
	var rest time.Duration
	if err := tx.QueryRow(ctx, `SELECT $1::timestamptz - now()`, at).Scan(&rest); err != nil {
		return fmt.Errorf("read time of next attempt: %w", err)
	}
	if rest > 0 {
		return &EarlyError{At: at, Remaining: rest}
	}
	return nil
}

func (ch *change) failLost(ctx context.Context, t *Task, n int) error {
	return ch.failTask(ctx, t, &Failure{
		Class:   ClassPermanent,
		Message: fmt.Sprintf("%d workers have died one after another at this export, with %d bytes of it stored", n, t.StoredBytes),
		Hint:    "look at the workers' logs and memory; then retry the backup",
	})
}
