package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// KindErase is the River kind that erases all that is a user's or a site's.
const KindErase = "backup_erase"

// EraseArgs are the args of the River job that works on an erasure. They name
// nobody, as its errors don't: the job's row outlives the erasure by a day.
type EraseArgs struct {
	Version   int    `json:"v"`
	ErasureID string `json:"erasure_id"`
}

// Kind is KindErase.
func (EraseArgs) Kind() string { return KindErase }

// EraseParams say whose backups are to be erased.
type EraseParams struct {
	UserID string
	SiteID string // empty: all of the user's sites
}

// Erasure is an erasure of all that is a user's or a site's: while it is under way
// with their names, and then a receipt without them.
type Erasure struct {
	ID          string
	UserID      string // empty once it has finished
	SiteID      string // empty for all sites, and once it has finished
	WholeUser   bool   // all of the user's sites
	RequestedAt time.Time
	FinishedAt  *time.Time // nil while it is under way

	Backups   int64 // whose rows are gone
	Schedules int64 // that are gone
	Objects   int64 // that were removed from the store, manifests among them
	Bytes     int64 // of those

	Error string // what holds it up; empty when nothing does. It may have names in it.
}

// ErrErasureNotFound means that no erasure has that id, or its receipt's time is
// over (Keep.Receipts).
var ErrErasureNotFound = errors.New("erasure not found")

// ErasingError means that something new was asked for, for a user or a site that is
// being erased. Nothing was written.
type ErasingError struct{ ErasureID string }

func (e *ErasingError) Error() string {
	return "all backups of this user or site are being erased by " + e.ErasureID
}

// Erase removes all that there is of a user, or of one of the user's sites: schedules
// with their history; backups, open ones after they have been canceled; every object
// below the user's or site's prefix in the store, also those that no row tells of; and
// finished River jobs of ours that name them. The workers do that; what is left is
// a receipt without names (GetErasure). To ask again while that is under way returns
// the same Erasure.
//
// A legal hold on any of the backups gives a *HeldError, and nothing changes. As long
// as the erasure is under way Start, Retry, Hold and PutSchedule of something
// new give an *ErasingError; later they begin afresh, and so does what a transaction asked
// for that was open all the while. A schedule that a server's configuration declares
// comes back when that server starts behind the erasure's end, unless it is taken out there.
//
// What it counts is exact, also over crashes of workers: each backup and schedule is
// counted in the transaction that removes its row, and objects are counted before they
// are removed, once. Objects below another Config.Prefix are found where a row names
// them. A worker that had been stopped for longer than its lease, and goes on when the
// erasure has finished, removes what it still wrote itself. What isn't found: parts of
// uploads that no row tells of, which expire in the store within a week. What such a
// worker has written if it is killed in that moment is found, without its name, when the
// workers look through the store: in the next night, and again a week later.
func (c *Client) Erase(ctx context.Context, p EraseParams) (e *Erasure, err error) {
	if err := p.validate(); err != nil {
		return nil, err // before the database is asked: it may be away
	}
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		e, err = c.EraseTx(ctx, tx, p)
		return err
	})
	return e, err
}

// EraseTx is Erase as a part of tx. After an error the caller must roll tx back. Until
// tx ends, it holds up all of the user's or site's backups: keep it short.
func (c *Client) EraseTx(ctx context.Context, tx pgx.Tx, p EraseParams) (*Erasure, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	now, err := c.now(ctx, tx)
	if err != nil {
		return nil, err
	}
	for range startTries {
		id, args := newID(), p.args()
		args["id"], args["now"] = id, now
		tag, err := tx.Exec(ctx, c.sql(`INSERT INTO {{schema}}.backup_erasure (id, user_id, site_id, whole_user, requested_at)
			VALUES (@id, @user, nullif(@site, ''), @site = '', @now)
			ON CONFLICT (user_id, coalesce(site_id, '')) WHERE finished_at IS NULL DO NOTHING`), args)
		if err != nil {
			return nil, fmt.Errorf("insert erasure: %w", err)
		}
		if tag.RowsAffected() > 0 {
			return c.beginErasure(ctx, tx, p, id)
		}
		e, err := c.oneErasure(ctx, tx, "WHERE e.user_id = @user AND coalesce(e.site_id, '') = @site AND e.finished_at IS NULL", p.args())
		if !errors.Is(err, ErrErasureNotFound) {
			return e, err
		}
	}
	return nil, errStartRaced
}

func (p *EraseParams) validate() error {
	if err := validateSubject("userId", p.UserID); err != nil || p.SiteID == "" {
		return err
	}
	return validateSubject("siteId", p.SiteID)
}

func (p *EraseParams) args() named { return named{"user": p.UserID, "site": p.SiteID} }

// ofTenant chooses the rows of @user and, unless that is empty, @site.
const ofTenant = `user_id = @user AND (@site = '' OR site_id = @site)`

// beginErasure follows the erasure's row: whoever holds one of the backups has
// committed before we have its lock, or finds the erasure.
func (c *Client) beginErasure(ctx context.Context, tx pgx.Tx, p EraseParams, id string) (*Erasure, error) {
	held := new(HeldError)
	err := tx.QueryRow(ctx, c.sql(`
		WITH l AS (SELECT id, held_at, hold_reason FROM {{schema}}.backup WHERE `+ofTenant+` ORDER BY id FOR NO KEY UPDATE)
		SELECT id::text, held_at, coalesce(hold_reason, '') FROM l WHERE held_at IS NOT NULL LIMIT 1`), p.args()).
		Scan(&held.BackupID, &held.Since, &held.Reason)
	switch {
	case err == nil:
		return nil, held
	case !isNoRows(err):
		return nil, fmt.Errorf("lock backups: %w", err)
	}
	if err := c.eraseSchedules(ctx, tx, id, p); err != nil {
		return nil, err
	}
	if err := c.insertEraseJob(ctx, tx, id); err != nil {
		return nil, err
	}
	return c.oneErasure(ctx, tx, "WHERE e.id = @id", named{"id": id})
}

func (c *Client) eraseSchedules(ctx context.Context, tx pgx.Tx, id string, p EraseParams) error {
	args := p.args()
	args["id"] = id
	_, err := tx.Exec(ctx, c.sql(`
		WITH l AS (SELECT id FROM {{schema}}.backup_schedule WHERE `+ofTenant+` ORDER BY id FOR UPDATE),
		d AS (DELETE FROM {{schema}}.backup_schedule WHERE id IN (SELECT id FROM l) RETURNING id)
		UPDATE {{schema}}.backup_erasure SET schedules = schedules + (SELECT count(*) FROM d) WHERE id = @id`), args)
	if err != nil {
		return fmt.Errorf("erase schedules: %w", err)
	}
	return nil
}

// insertEraseJob inserts the River job that works on the erasure from now on.
func (c *Client) insertEraseJob(ctx context.Context, tx pgx.Tx, id string) error {
	res, err := c.river.InsertManyTx(ctx, tx, []river.InsertManyParams{{
		Args:       EraseArgs{Version: ArgsVersion, ErasureID: id},
		InsertOpts: &river.InsertOpts{Queue: QueueControl, Priority: 4, Tags: []string{"erasure-" + id}},
	}})
	if err != nil {
		return fmt.Errorf("insert River job: %w", err)
	}
	_, err = tx.Exec(ctx, c.sql(`UPDATE {{schema}}.backup_erasure SET river_job_id = @job WHERE id = @id`), named{"id": id, "job": res[0].Job.ID})
	if err != nil {
		return fmt.Errorf("note River job: %w", err)
	}
	return nil
}

// GetErasure returns an erasure that is under way, or the receipt of one that has
// finished: ErrErasureNotFound.
func (c *Client) GetErasure(ctx context.Context, id string) (*Erasure, error) {
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	if !validID(id) {
		return nil, ErrErasureNotFound
	}
	return c.oneErasure(ctx, c.cfg.Pool, "WHERE e.id = @id", named{"id": id})
}

func (c *Client) oneErasure(ctx context.Context, db querier, tail string, args named) (*Erasure, error) {
	rows, err := db.Query(ctx, c.sql(`SELECT e.id::text, coalesce(e.user_id, ''), coalesce(e.site_id, ''), e.whole_user, e.requested_at, e.finished_at,
			e.backups, e.schedules, e.objects, e.bytes, coalesce(e.error, '')
		FROM {{schema}}.backup_erasure e `+tail), args)
	if err != nil {
		return nil, fmt.Errorf("read erasure: %w", err)
	}
	e, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByPos[Erasure])
	if isNoRows(err) {
		return nil, ErrErasureNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read erasure: %w", err)
	}
	return e, nil
}

// openErasure chooses, of the alias e, the erasures under way that @user and @site
// are under. There are two at most.
const openErasure = `e.user_id = @user AND coalesce(e.site_id, '') IN ('', @site) AND e.finished_at IS NULL`

// notErasing is an *ErasingError where the user's site is being erased.
func (c *Client) notErasing(ctx context.Context, tx pgx.Tx, user, site string) error {
	var id string
	err := tx.QueryRow(ctx, c.sql(`SELECT e.id::text FROM {{schema}}.backup_erasure e WHERE `+openErasure+` LIMIT 1`), named{"user": user, "site": site}).Scan(&id)
	switch {
	case isNoRows(err):
		return nil
	case err != nil:
		return fmt.Errorf("look for erasures: %w", err)
	}
	return &ErasingError{ErasureID: id}
}

// notErasing looks behind the backup's lock: see beginErasure.
func (ch *change) notErasing(ctx context.Context) error {
	return ch.c.notErasing(ctx, ch.tx, ch.b.UserID, ch.b.SiteID)
}
