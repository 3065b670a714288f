package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/retention"
	"github.com/sitebackup/sitebackup/migrations"
)

// Config configures a Client.
type Config struct {
	// Pool is where the tables are. It may be nil in a program that only calls
	// verbs with a transaction of its own (StartTx and the like).
	Pool *pgxpool.Pool

	// Schema is the Postgres schema that holds our tables and River's. Defaults
	// to "backup".
	Schema string

	// Store is the destination. It may be nil in a program that only asks for
	// backups.
	Store blob.Store

	// Prefix is put before every object's key, without a slash at its end; at
	// most 100 bytes, none of its segments with a dot at its end. Defaults to none.
	Prefix string

	// Providers are the providers that exist, in any order. It may be empty in a
	// program that only asks for backups: the workers know them.
	Providers []ProviderConfig

	// BaseURL is where people reach the HTTP API, such as
	// "https://backup.example.com". It is written into the metadata of River
	// jobs, so that an operator finds the backup. Defaults to none.
	BaseURL string

	// MaxSize is the most bytes that the exports of one backup together may have;
	// 0 sets no limit. StartParams may lower it.
	MaxSize int64

	// MaxRunningPerUser is how many tasks of one user all processes together run at
	// once; 0 sets no limit.
	MaxRunningPerUser int

	// MaxSkew is how old a done task's export may be when Retry keeps it: older
	// ones are exported again, so that a backup is of one time. Defaults to 24
	// hours.
	MaxSkew time.Duration

	// KeyLifetime is how long an idempotency key of a caller's own
	// (StartParams.IdempotencyScope) stands for what it has started. Defaults to 24
	// hours.
	KeyLifetime time.Duration

	// Retention says which backups stay of those that no schedule has started, or whose
	// schedule has, or had when it was deleted, no policy of its own. nil keeps them all.
	// See package retention for what never goes, whatever it says.
	Retention *retention.Policy

	// Keep says how long events, journals and the like are kept.
	Keep Keep

	// Now is the clock of schedules, retention and pruning, for tests and simulations.
	// nil: the database's, which is the same for all processes.
	Now func() time.Time

	// OnEvent is told of alerts, see ScheduleEvent: that a schedule's newest good backup
	// is too old, and that it has one again. It isn't told of each backup: a program
	// that wants to know how those end follows them with a Watcher, or with Events. It
	// is called by the workers' process that finds
	// them or by another one: all should have it. Each event is told until it returned
	// nil, and so perhaps more than once, or is a day old; those of one schedule in their
	// order. Its context ends after 10 seconds, which it must obey: others wait for it.
	// nil: nobody is told, and the events stay in the table until they are pruned.
	OnEvent func(ctx context.Context, e ScheduleEvent) error

	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Client asks for backups and tells of them. Its methods may be called by many
// goroutines at once.
type Client struct {
	cfg       Config
	schema    string // quoted
	river     *river.Client[pgx.Tx]
	providers map[string]*ProviderConfig

	groups     groups
	notifier   notifier
	statements sync.Map // those of sql, by what is without the schema
}

// New makes a Client from cfg, which it copies. It doesn't connect.
func New(cfg *Config) (*Client, error) {
	if cfg == nil {
		return nil, errors.New("Config must not be nil")
	}
	c := &Client{cfg: *cfg, providers: make(map[string]*ProviderConfig, len(cfg.Providers))}
	c.groups.turn = make(chan struct{}, 1)
	if c.cfg.Schema == "" {
		c.cfg.Schema = migrations.DefaultSchema
	}
	if c.cfg.MaxSkew == 0 {
		c.cfg.MaxSkew = 24 * time.Hour
	}
	if c.cfg.KeyLifetime == 0 {
		c.cfg.KeyLifetime = defaultKeyLifetime
	}
	if c.cfg.Logger == nil {
		c.cfg.Logger = slog.Default()
	}
	if cfg.Retention != nil {
		policy := *cfg.Retention
		c.cfg.Retention = &policy
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := c.cfg.Keep.defaults(c.cfg.MaxSkew); err != nil {
		return nil, err
	}
	c.schema = pgx.Identifier{c.cfg.Schema}.Sanitize()
	rc, err := river.NewClient(riverpgxv5.New(c.cfg.Pool), &river.Config{
		Schema: c.cfg.Schema, Logger: c.cfg.Logger,
		// River leaves out the notification of a job that a client inserts into a queue
		// within this time of the one before, and a worker that has fetched in between
		// sees the job only when it polls, after a second.
		FetchCooldown: river.FetchCooldownMin,
	})
	if err != nil {
		return nil, fmt.Errorf("make River client: %w", err)
	}
	c.river = rc
	return c, nil
}

func (c *Client) validate() error {
	if err := migrations.ValidateSchema(c.cfg.Schema); err != nil {
		return err
	}
	if len(c.cfg.Prefix) > 100 || strings.HasPrefix(c.cfg.Prefix, "/") || strings.HasSuffix(c.cfg.Prefix, "/") {
		return errors.New("Prefix must have at most 100 bytes and neither begin nor end with a slash")
	}
	if strings.HasSuffix(c.cfg.Prefix, ".") || strings.Contains(c.cfg.Prefix, "./") {
		return errors.New("Prefix must not have a segment that ends with a dot: Azure may drop it")
	}
	switch {
	case c.cfg.Pool != nil && undescribed(c.cfg.Pool.Config().ConnConfig.DefaultQueryExecMode):
		return errors.New("Pool must not use QueryExecModeExec or QueryExecModeSimpleProtocol; behind a pooler QueryExecModeDescribeExec works")
	case c.cfg.MaxSkew < time.Minute:
		return errors.New("MaxSkew must be at least 1 minute")
	case c.cfg.KeyLifetime < time.Minute:
		return errors.New("KeyLifetime must be at least 1 minute")
	case c.cfg.MaxSize < 0:
		return errors.New("MaxSize must not be negative")
	case c.cfg.MaxRunningPerUser < 0:
		return errors.New("MaxRunningPerUser must not be negative")
	}
	if c.cfg.Retention != nil {
		if err := c.cfg.Retention.Validate(); err != nil {
			return fmt.Errorf("Retention: %w", err)
		}
	}
	for _, p := range c.cfg.Providers {
		if err := p.defaults(); err != nil {
			return err
		}
		if c.providers[p.Name] != nil {
			return fmt.Errorf("provider %q is configured twice", p.Name)
		}
		c.providers[p.Name] = &p
	}
	return nil
}

// undescribed reports whether pgx guesses the types of arguments: it can't for
// those of ours, nor for River's.
func undescribed(mode pgx.QueryExecMode) bool {
	return mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
}

// Schema is the Postgres schema that holds the tables.
func (c *Client) Schema() string { return c.cfg.Schema }

// Store is the configured destination, or nil.
func (c *Client) Store() blob.Store { return c.cfg.Store }

// Pool is the configured pool, or nil.
func (c *Client) Pool() *pgxpool.Pool { return c.cfg.Pool }

// Logger is the configured logger.
func (c *Client) Logger() *slog.Logger { return c.cfg.Logger }

// Provider is the configuration of a provider, with its defaults filled in, or
// nil if there is none of that name.
func (c *Client) Provider(name string) *ProviderConfig { return c.providers[name] }

// ProviderNames lists the configured providers in the order of their names.
func (c *Client) ProviderNames() []string {
	names := make([]string, 0, len(c.providers))
	for name := range c.providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sql puts the schema into a statement.
func (c *Client) sql(query string) string {
	if known, ok := c.statements.Load(query); ok {
		s, _ := known.(string)
		return s
	}
	s := strings.ReplaceAll(query, "{{schema}}", c.schema)
	c.statements.Store(query, s)
	return s
}

// errNoPool is returned by verbs without a transaction on a Client without a
// pool.
var errNoPool = errors.New("Config.Pool is nil: only the verbs that take a transaction work")

// inTx runs fn in a transaction of its own, and again if that was the victim of
// a deadlock.
func (c *Client) inTx(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return c.again(func() error {
		var own *ownTx
		err := pgx.BeginTxFunc(ctx, c.cfg.Pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error {
			own = &ownTx{Tx: tx}
			return fn(own)
		})
		if err == nil {
			c.notify(own.changed...) //nolint:contextcheck // sent for others, too
		}
		return err
	})
}

// again runs a transaction, and again if it was the victim of a deadlock.
func (c *Client) again(transaction func() error) error {
	if c.cfg.Pool == nil {
		return errNoPool
	}
	// River locks its jobs in an order of its own: where that and ours meet, one
	// side is told to try again.
	err := errNoPool
	for try := 0; try < deadlockTries && (try == 0 || isSQLState(err, pgerrcode.DeadlockDetected)); try++ {
		err = transaction()
	}
	return err
}

const deadlockTries = 5

const begin = "BEGIN ISOLATION LEVEL READ COMMITTED; " + boundIdle

// boundIdle bounds how long the locks of a process outlive it where Postgres isn't
// told: it was stopped, or its host lost its power or its network. Without that
// they stay until TCP gives up, two hours by default.
const boundIdle = "SET LOCAL idle_in_transaction_session_timeout = '10s'"

func isSQLState(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}

func (c *Client) insertOpts(queue string, b *Backup, t *Task, rank int) *river.InsertOpts {
	m := jobMetadata{BackupID: b.ID, UserID: b.UserID, SiteID: b.SiteID}
	opts, next := &river.InsertOpts{Queue: queue, Priority: rank, Tags: []string{"backup-" + b.ID}}, b.NextAttemptAt
	if t != nil {
		m.TaskID, m.Provider = t.ID, t.Provider
		next = t.NextAttemptAt
		opts.Tags = append(opts.Tags, "provider-"+t.Provider)
		if p := c.providers[t.Provider]; p != nil {
			// River counts rescues and we don't: leave it room above our own limit.
			opts.MaxAttempts = p.MaxAttempts + rescueRoom
		}
	}
	if c.cfg.BaseURL != "" {
		m.URL = strings.TrimSuffix(c.cfg.BaseURL, "/") + "/backup/" + b.ID
	}
	if next != nil {
		opts.ScheduledAt = *next
	}
	opts.Metadata, _ = json.Marshal(m) // strings only: it can't fail
	return opts
}

// rescueRoom is how many more attempts than ours a River job may have.
const rescueRoom = 15
