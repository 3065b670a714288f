package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// StartParams say what to back up.
type StartParams struct {
	// UserID and SiteID name the site. Each has 1 to 200 bytes in its
	// percent-encoded form (RFC 3986 §2.1), is valid UTF-8 and has no control
	// characters.
	UserID string
	SiteID string

	// Providers are those to export; none means all that are configured when the
	// backup is planned.
	Providers []string

	// Labels are the caller's own; at most 32, keys of 1 to 63 bytes, values of
	// at most 255.
	Labels map[string]string

	// ContinueOnFailure lets the other tasks run on when one fails for good. The
	// backup is failed then, too, but only when the last has ended.
	ContinueOnFailure bool

	// IdempotencyKey, of at most 255 bytes, makes a second call with the same
	// user, site and key return the first one's backup. Empty: every call starts
	// one.
	IdempotencyKey string

	// IdempotencyScope says whose the key is, such as the name of the caller's
	// credential; at most 255 bytes. With it, the key is that caller's alone, over
	// all users and sites; it expires after Config.KeyLifetime; and a second call
	// with the key and other parameters gives a *KeyReusedError. The key of a backup
	// that is deleted, or of a call that gave an *ActiveError, can be used again.
	// Empty: the key is the user's and site's, and doesn't expire.
	IdempotencyScope string

	// IfActive says what to do where the user's site has a backup that hasn't ended.
	// Defaults to IfActiveStart.
	IfActive IfActive

	// MaxSize is the most bytes that the exports together may have. 0, or more than
	// Config.MaxSize, means that one.
	MaxSize int64

	source   *sourceJob
	schedule string // the id of the one that is run out of turn
}

// sourceJob is the River job that somebody else inserted to ask for a backup.
type sourceJob struct {
	id        int64
	createdAt time.Time
}

// Start starts a backup. It is in Postgres when Start returns; the workers do
// the rest. A bad parameter is a *FieldError. Where all backups of the user or the
// site are being erased it gives an *ErasingError.
func (c *Client) Start(ctx context.Context, p StartParams) (*Backup, error) {
	return one(c.StartMany(ctx, []StartParams{p}))
}

// StartTx starts a backup as a part of tx: if tx is rolled back there is none,
// and if it is committed the backup will run.
func (c *Client) StartTx(ctx context.Context, tx pgx.Tx, p StartParams) (*Backup, error) {
	return one(c.startMany(ctx, tx, []StartParams{p}))
}

// StartMany starts all the backups or, on an error, none.
func (c *Client) StartMany(ctx context.Context, ps []StartParams) (bs []*Backup, err error) {
	if err := c.validateStarts(ps); err != nil {
		return nil, err // before the database is asked: it may be away
	}
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		bs, err = c.startMany(ctx, tx, ps)
		return err
	})
	return bs, err
}

// StartManyTx starts the backups as a part of tx. After an error the caller
// must roll tx back.
func (c *Client) StartManyTx(ctx context.Context, tx pgx.Tx, ps []StartParams) ([]*Backup, error) {
	return c.startMany(ctx, tx, ps)
}

func one(bs []*Backup, err error) (*Backup, error) {
	if err != nil {
		return nil, err
	}
	return bs[0], nil
}

func (c *Client) startMany(ctx context.Context, tx pgx.Tx, ps []StartParams) ([]*Backup, error) {
	if err := c.validateStarts(ps); err != nil {
		return nil, err
	}
	bs := make([]*Backup, len(ps))
	var fresh []*Backup
	for _, i := range inKeyOrder(ps) {
		b, made, err := c.startOne(ctx, tx, &ps[i])
		if err != nil {
			return nil, err
		}
		if bs[i] = b; made {
			fresh = append(fresh, b)
		}
	}
	return bs, c.insertPlanJobs(ctx, tx, fresh)
}

// inKeyOrder is the order in which to insert, so that two calls with the same
// idempotency keys can't wait for each other.
func inKeyOrder(ps []StartParams) []int {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &ps[i], &ps[j]
		return cmp.Or(strings.Compare(a.UserID, b.UserID), strings.Compare(a.SiteID, b.SiteID), strings.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return order
}

// insertBackup writes the row and its first event. Made is false where a backup
// that exists is what p asks for.
func (c *Client) insertBackup(ctx context.Context, tx pgx.Tx, p *StartParams, id string) (b *Backup, made bool, err error) {
	for range startTries {
		if b, made, err = c.tryInsertBackup(ctx, tx, p, id); !errors.Is(err, ErrNotFound) {
			return b, made, err
		}
	}
	return nil, false, errStartRaced
}

// tryInsertBackup is insertBackup. It returns ErrNotFound where the backup that
// was in the way is gone by now.
func (c *Client) tryInsertBackup(ctx context.Context, tx pgx.Tx, p *StartParams, id string) (b *Backup, made bool, err error) {
	data, err := json.Marshal(backupData{State: StatePending, UserID: p.UserID, SiteID: p.SiteID})
	if err != nil {
		return nil, false, fmt.Errorf("encode event: %w", err)
	}
	key := p.IdempotencyKey
	if p.scoped() {
		key = ""
	}
	args := named{
		"id": id, "exclusive": p.exclusive(), "user": p.UserID, "site": p.SiteID, "providers": nilIfEmpty(p.Providers), "labels": labels(p.Labels),
		"continue": p.ContinueOnFailure, "key": key, "max_size": lower(p.MaxSize, c.cfg.MaxSize), "job": (*int64)(nil), "job_at": (*time.Time)(nil), "data": data,
		"schedule": p.schedule,
	}
	if p.source != nil {
		args["job"], args["job_at"] = &p.source.id, &p.source.createdAt
	}
	rows, err := tx.Query(ctx, c.sql(`
		WITH b AS (
			INSERT INTO {{schema}}.backup (id, user_id, site_id, providers, labels, continue_on_failure, idempotency_key, max_size,
				source_job_id, source_job_created_at, river_job_id, exclusive, schedule_id, event_seq)
			SELECT @id::uuid, @user, @site, @providers::text[], @labels::jsonb, @continue::boolean, nullif(@key, ''), nullif(@max_size::bigint, 0),
				@job::bigint, @job_at::timestamptz, @job, @exclusive::boolean, nullif(@schedule, '')::uuid, 1
			WHERE NOT EXISTS (SELECT FROM {{schema}}.backup_erasure e WHERE `+openErasure+`)
			ON CONFLICT DO NOTHING RETURNING *
		), e AS (
			INSERT INTO {{schema}}.backup_event (backup_id, seq, name, data) SELECT id, 1, 'UploadJobCreated', @data FROM b
		) SELECT `+backupColumns+`, (SELECT count(*) FROM (SELECT FROM {{schema}}.backup o
			WHERE o.user_id = @user AND o.state IN ('pending', 'running', 'sealing') LIMIT 16) o) FROM b`), args)
	if err != nil {
		return nil, false, fmt.Errorf("insert backup: %w", err)
	}
	b, err = pgx.CollectOneRow(rows, scanStarted)
	if isNoRows(err) {
		b, err = c.existing(ctx, tx, p)
		return b, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("insert backup: %w", err)
	}
	return b, true, nil
}

// existing is the backup that p asks for again.
func (c *Client) existing(ctx context.Context, tx pgx.Tx, p *StartParams) (*Backup, error) {
	if p.source != nil {
		if b, err := c.adopted(ctx, tx, p.source); !errors.Is(err, ErrNotFound) {
			return b, err
		}
	}
	if p.IdempotencyKey != "" && !p.scoped() {
		b, err := c.oneBackup(ctx, tx, "WHERE b.user_id = @user AND b.site_id = @site AND b.idempotency_key = @key",
			named{"user": p.UserID, "site": p.SiteID, "key": p.IdempotencyKey})
		if !errors.Is(err, ErrNotFound) {
			return b, err
		}
	}
	if b, err := c.active(ctx, tx, p); !errors.Is(err, ErrNotFound) {
		return b, err
	}
	if err := c.notErasing(ctx, tx, p.UserID, p.SiteID); err != nil {
		return nil, err
	}
	return nil, ErrNotFound
}

// adopted is the backup that the River job has made: ErrNotFound.
func (c *Client) adopted(ctx context.Context, tx pgx.Tx, s *sourceJob) (*Backup, error) {
	return c.oneBackup(ctx, tx, "WHERE b.source_job_id = @job AND b.source_job_created_at = @at",
		named{"job": s.id, "at": s.createdAt})
}

// insertPlanJobs inserts the River jobs that plan bs, and makes each the only
// one that may.
func (c *Client) insertPlanJobs(ctx context.Context, tx pgx.Tx, bs []*Backup) error {
	if len(bs) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(bs))
	for i, b := range bs {
		params[i] = c.planJob(b, rankOf(b.older))
	}
	res, err := c.river.InsertManyTx(ctx, tx, params)
	if err != nil {
		return fmt.Errorf("insert River jobs: %w", err)
	}
	var batch pgx.Batch
	for i, b := range bs {
		b.riverJobID = &res[i].Job.ID
		batch.Queue(c.sql(`UPDATE {{schema}}.backup SET river_job_id = @job WHERE id = @id`), named{"id": b.ID, "job": res[i].Job.ID})
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("note River jobs: %w", err)
	}
	return nil
}

func nilIfEmpty(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

func labels(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
