package backup

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// KindForgotten is the River kind that looks for what was written to the places of erased
// backups.
const KindForgotten = "backup_forgotten"

// ForgottenArgs are the args of the periodic River job that does.
type ForgottenArgs struct{}

// Kind is KindForgotten.
func (ForgottenArgs) Kind() string { return KindForgotten }

// Forgotten are the tombstones of erased users and sites that are due, by Config.Prefix as
// it was. A tombstone names whose the backup was; these have a digest of its id alone, so
// that its place is found only by going through the store, which may have millions of
// objects. So all become due at midnight in UTC, for one look a day at most, and none where
// nobody was erased in the last week.
type Forgotten struct {
	Prefix  string // what to list
	digests map[[sha256.Size]byte]bool
	now     time.Time
	until   time.Time // when they are due again, unless nothing is there
}

// Has reports whether an object is at the place of one of them, and of which backup.
func (f *Forgotten) Has(key string) (backupID string, ok bool) {
	segments := strings.Split(strings.TrimPrefix(key, f.Prefix), "/")
	if len(segments) < 4 {
		return "", false
	}
	return segments[2], f.digests[sha256.Sum256([]byte(segments[2]))]
}

// midnight is the first one behind t.
func midnight(t time.Time) time.Time { return t.UTC().Truncate(day).Add(day) }

// forgetTombstones makes of a tenant's tombstones what names nobody.
func (c *Client) forgetTombstones(ctx context.Context, tx pgx.Tx, p EraseParams) error {
	_, err := tx.Exec(ctx, c.sql(`
		WITH gone AS (DELETE FROM {{schema}}.backup_tombstone WHERE `+ofTenant+` RETURNING backup_id, prefix, due_at, swept)
		INSERT INTO {{schema}}.backup_forgotten (digest, prefix, due_at, swept)
		SELECT sha256(convert_to(backup_id::text, 'UTF8')), prefix, date_bin('1 day', due_at, 'epoch') + interval '24 hours', swept FROM gone ON CONFLICT (digest) DO NOTHING`), p.args())
	if err != nil {
		return fmt.Errorf("forget tombstones: %w", err)
	}
	return nil
}

// maxForgotten bounds what is held in memory; the others are due the next time.
const maxForgotten = 100_000

// DueForgotten returns those that are due. They are due again at the next midnight, however
// the look ends that follows.
func (l *Ledger) DueForgotten(ctx context.Context) (all []*Forgotten, err error) {
	now, err := l.c.now(ctx, l.c.cfg.Pool)
	if err != nil {
		return nil, err
	}
	rows, err := l.c.cfg.Pool.Query(ctx, l.c.sql(`UPDATE {{schema}}.backup_forgotten SET due_at = @until WHERE digest IN (
		SELECT digest FROM {{schema}}.backup_forgotten WHERE due_at <= @now ORDER BY due_at LIMIT @limit FOR UPDATE SKIP LOCKED) RETURNING digest, prefix`),
		named{"now": now, "until": midnight(now), "limit": maxForgotten})
	if err != nil {
		return nil, fmt.Errorf("read forgotten backups: %w", err)
	}
	by := make(map[string]*Forgotten)
	var digest []byte
	var prefix string
	_, err = pgx.ForEachRow(rows, []any{&digest, &prefix}, func() error {
		f := by[prefix]
		if f == nil {
			f = &Forgotten{digests: make(map[[sha256.Size]byte]bool), now: now, until: midnight(now)}
			if prefix != "" {
				f.Prefix = prefix + "/"
			}
			by[prefix] = f
			all = append(all, f)
		}
		f.digests[[sha256.Size]byte(digest)] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read forgotten backups: %w", err)
	}
	return all, nil
}

// SweptForgotten notes that nothing is at their places any more. Those that another look has
// taken since are its own.
func (l *Ledger) SweptForgotten(ctx context.Context, f *Forgotten) error {
	digests := make([][]byte, 0, len(f.digests))
	for d := range f.digests {
		digests = append(digests, d[:])
	}
	last := len(tombstoneDelays) - 1
	_, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`
		WITH gone AS (DELETE FROM {{schema}}.backup_forgotten WHERE digest = ANY (@digests::bytea[]) AND due_at = @until AND swept >= @last)
		UPDATE {{schema}}.backup_forgotten SET swept = swept + 1, due_at = @again WHERE digest = ANY (@digests::bytea[]) AND due_at = @until AND swept < @last`),
		named{"digests": digests, "until": f.until, "last": last, "again": midnight(f.now.Add(tombstoneDelays[last]))})
	if err != nil {
		return fmt.Errorf("note forgotten backups: %w", err)
	}
	return nil
}
