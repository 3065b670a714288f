package backup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// IfActive says what Start does where the user's site has a backup that hasn't
// ended. Only backups count that were started with Join or Reject themselves, and
// weren't retried since: they exclude each other, by a unique index.
type IfActive string

// What Start can do.
const (
	IfActiveStart  IfActive = "start"  // start another; the default
	IfActiveJoin   IfActive = "join"   // return that one
	IfActiveReject IfActive = "reject" // return an *ActiveError
)

// ActiveError means that a backup with IfActiveReject wasn't started, because the
// user's site has one that hasn't ended. Nothing was written.
type ActiveError struct{ BackupID string }

func (e *ActiveError) Error() string { return "start backup: " + e.BackupID + " is active" }

// KeyReusedError means that an idempotency key was used with other parameters
// before. Nothing was written.
type KeyReusedError struct{ BackupID string } // what the key has started

func (e *KeyReusedError) Error() string {
	return "start backup: the idempotency key was used with other parameters"
}

// startTries bounds how often a start looks again because what was in its way is
// gone when it looks for it.
const startTries = 20

var errStartRaced = errors.New("start backup: what is in its way comes and goes")

// startOne is insertBackup behind the caller's idempotency key, if there is one.
// What is in the way never fails a statement, so that the caller's transaction
// stays usable.
func (c *Client) startOne(ctx context.Context, tx pgx.Tx, p *StartParams) (b *Backup, made bool, err error) {
	if !p.scoped() {
		return c.insertBackup(ctx, tx, p, newID())
	}
	id := newID()
	if b, err = c.takeKey(ctx, tx, p, id); b != nil || err != nil {
		return b, false, err
	}
	if slices.ContainsFunc(p.Providers, func(name string) bool { return !c.configured(name) }) {
		err = errProviders()
	} else {
		b, made, err = c.insertBackup(ctx, tx, p, id)
	}
	if barred(err) {
		_, kerr := tx.Exec(ctx, c.sql(`DELETE FROM {{schema}}.backup_key WHERE caller = @caller AND key = @key`),
			named{"caller": p.IdempotencyScope, "key": p.IdempotencyKey})
		if kerr != nil {
			return nil, false, fmt.Errorf("free idempotency key: %w", kerr)
		}
	}
	if err != nil || made {
		return b, made, err
	}
	_, err = tx.Exec(ctx, c.sql(`UPDATE {{schema}}.backup_key SET backup_id = @id WHERE caller = @caller AND key = @key`),
		named{"id": b.ID, "caller": p.IdempotencyScope, "key": p.IdempotencyKey})
	if err != nil {
		return nil, false, fmt.Errorf("note joined backup: %w", err)
	}
	return b, false, nil
}

// barred reports whether nothing was started because of what else there is, or of the
// configuration.
func barred(err error) bool {
	var active *ActiveError
	var erasing *ErasingError
	var field *FieldError
	return errors.As(err, &active) || errors.As(err, &erasing) || errors.As(err, &field)
}

func (p *StartParams) scoped() bool { return p.IdempotencyScope != "" && p.IdempotencyKey != "" }

// takeKey makes the key the one of the backup that will have the id, or returns
// the backup that has it.
func (c *Client) takeKey(ctx context.Context, tx pgx.Tx, p *StartParams, id string) (*Backup, error) {
	request, err := p.fingerprint()
	if err != nil {
		return nil, err
	}
	args := named{"caller": p.IdempotencyScope, "key": p.IdempotencyKey}
	for range startTries {
		b, err := c.ofKey(ctx, tx, request, args)
		if !errors.Is(err, ErrNotFound) {
			return b, err
		}
		// It waits for a transaction that is about to take the key.
		tag, err := tx.Exec(ctx, c.sql(`
			INSERT INTO {{schema}}.backup_key AS k (caller, key, request, backup_id, expires_at)
			VALUES (@caller, @key, @request, @id, now() + @lifetime::interval)
			ON CONFLICT (caller, key) DO UPDATE SET request = excluded.request, backup_id = excluded.backup_id,
				created_at = excluded.created_at, expires_at = excluded.expires_at
			WHERE k.expires_at <= now()`),
			named{"caller": p.IdempotencyScope, "key": p.IdempotencyKey, "request": request, "id": id, "lifetime": c.cfg.KeyLifetime})
		if err != nil {
			return nil, fmt.Errorf("take idempotency key: %w", err)
		}
		if tag.RowsAffected() > 0 {
			return nil, nil //nolint:nilnil // the key is ours
		}
	}
	return nil, errStartRaced
}

// ofKey is the backup that has the key: ErrNotFound.
func (c *Client) ofKey(ctx context.Context, tx pgx.Tx, request []byte, args named) (*Backup, error) {
	var id string
	var had []byte
	err := tx.QueryRow(ctx, c.sql(`SELECT backup_id::text, request FROM {{schema}}.backup_key
		WHERE caller = @caller AND key = @key AND expires_at > now()`), args).Scan(&id, &had)
	switch {
	case isNoRows(err):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("find idempotency key: %w", err)
	case string(had) != string(request):
		return nil, &KeyReusedError{BackupID: id}
	}
	return c.oneBackup(ctx, tx, "WHERE b.id = @id", named{"id": id})
}

// fingerprint tells requests apart that ask for something else. It is stored: a
// later release must make the same one of the same parameters.
func (p *StartParams) fingerprint() ([]byte, error) {
	ifActive := p.IfActive
	if ifActive == "" {
		ifActive = IfActiveStart
	}
	data, err := json.Marshal(struct {
		UserID    string            `json:"userId"`
		SiteID    string            `json:"siteId"`
		Providers []string          `json:"providers,omitempty"`
		Labels    map[string]string `json:"labels,omitempty"`
		Continue  bool              `json:"continueOnFailure,omitempty"`
		MaxSize   int64             `json:"sizeLimit,omitempty"`
		IfActive  IfActive          `json:"ifActive"`
		Schedule  string            `json:"schedule,omitempty"`
	}{p.UserID, p.SiteID, nilIfEmpty(p.Providers), p.Labels, p.ContinueOnFailure, p.MaxSize, ifActive, p.schedule})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	sum := sha256.Sum256(data)
	return sum[:], nil
}

func (p *StartParams) validateOnce() error {
	switch {
	case len(p.IdempotencyScope) > maxIdempotencyKey || !printable(p.IdempotencyScope):
		return &FieldError{"idempotencyScope", "must have at most 255 bytes and no control characters"}
	case p.IfActive != "" && p.IfActive != IfActiveStart && p.IfActive != IfActiveJoin && p.IfActive != IfActiveReject:
		return &FieldError{"ifActive", "must be start, join or reject"}
	}
	return nil
}

// exclusive reports whether the backup is to be the only active one of its kind.
func (p *StartParams) exclusive() bool {
	return p.IfActive == IfActiveJoin || p.IfActive == IfActiveReject
}

// active is the exclusive backup of the user's site that hasn't ended:
// ErrNotFound.
func (c *Client) active(ctx context.Context, tx pgx.Tx, p *StartParams) (*Backup, error) {
	if !p.exclusive() {
		return nil, ErrNotFound
	}
	b, err := c.oneBackup(ctx, tx, `WHERE b.user_id = @user AND b.site_id = @site AND b.exclusive AND b.state IN ('pending', 'running', 'sealing')`,
		named{"user": p.UserID, "site": p.SiteID})
	if err == nil && p.IfActive == IfActiveReject {
		return nil, &ActiveError{BackupID: b.ID}
	}
	return b, err
}

// DropExpiredKeys removes up to limit idempotency keys of callers that have
// expired, and returns how many.
func (l *Ledger) DropExpiredKeys(ctx context.Context, limit int) (int, error) {
	tag, err := l.c.cfg.Pool.Exec(ctx, l.c.sql(`DELETE FROM {{schema}}.backup_key WHERE (caller, key) IN (
		SELECT caller, key FROM {{schema}}.backup_key WHERE expires_at <= coalesce(@now, now()) ORDER BY expires_at LIMIT @limit FOR UPDATE SKIP LOCKED)`),
		named{"limit": limit, "now": l.c.injected()})
	if err != nil {
		return 0, fmt.Errorf("drop expired idempotency keys: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// defaultKeyLifetime is long enough for a client that tries again after a night.
const defaultKeyLifetime = 24 * time.Hour
