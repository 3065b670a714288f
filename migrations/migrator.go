package migrations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// The lines of migrations: River's and ours.
const (
	LineRiver  = "river"
	LineBackup = "backup"
)

// Applied is one migration that Up applied, or that Down reverted.
type Applied struct {
	Line    string // LineRiver or LineBackup
	Version int
	Name    string
}

func (m migration) applied() Applied {
	return Applied{Line: LineBackup, Version: m.version, Name: m.name}
}

// migrator is what one call works with.
type migrator struct {
	cfg   Config
	pool  *pgxpool.Pool
	own   []migration
	river *rivermigrate.Migrator[pgx.Tx]

	tableWait  time.Duration
	tableTries int
}

// newMigrator needs a pool only for what talks to a database.
func newMigrator(pool *pgxpool.Pool, config *Config) (*migrator, error) {
	cfg, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	own, err := load(files)
	if err != nil {
		return nil, err
	}
	river, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler), Schema: cfg.Schema})
	if err != nil {
		return nil, fmt.Errorf("prepare river's migrations: %w", err)
	}
	return &migrator{cfg: cfg, pool: pool, own: own, river: river, tableWait: tableWait, tableTries: tableTries}, nil
}

// runRiver lets River's migrator work and says what it did. When it fails, the
// versions before the failing one stay; its error names that one.
func (m *migrator) runRiver(ctx context.Context, to rivermigrate.Direction, opts *rivermigrate.MigrateOpts) ([]Applied, error) {
	res, err := m.river.Migrate(ctx, to, opts)
	if err != nil {
		return nil, fmt.Errorf("migrate river %s: %w", to, err)
	}
	done := make([]Applied, len(res.Versions))
	for i, v := range res.Versions {
		done[i] = Applied{Line: LineRiver, Version: v.Version, Name: v.Name}
		m.log(ctx, string(to), done[i])
	}
	return done, nil
}

// log tells of River's migrations and ours in the same words.
func (m *migrator) log(ctx context.Context, direction string, a Applied) {
	m.cfg.Logger.InfoContext(ctx, "migrated", "schema", m.cfg.Schema, "line", a.Line, "version", a.Version, "name", a.Name, "direction", direction)
}

// notice lets the server see within a second that the process which runs a long
// statement is gone, and roll back. Until then the next Up waits for it. Servers
// before 14, and those on Windows, cannot; there it waits until the statement
// has ended.
const notice = `DO $$ BEGIN
	PERFORM set_config('client_connection_check_interval', '1000', true);
EXCEPTION WHEN undefined_object OR invalid_parameter_value THEN NULL;
END $$`

// A migration that waits for a table's lock holds up everybody who comes behind it,
// readers too. So it gives up after tableWait, or sooner when it and a transaction wait for
// each other, lets them pass, and tries again, at most tableTries times in all.
const (
	tableWait  = 3 * time.Second
	tablePause = time.Second
	tableTries = 15
)

// atomically runs one of our migrations as a transaction.
func (m *migrator) atomically(ctx context.Context, run func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := m.once(ctx, run)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != pgerrcode.LockNotAvailable && refused.Code != pgerrcode.DeadlockDetected {
			return err
		}
		if try >= m.tableTries {
			return fmt.Errorf("tables are locked by another transaction, tried %d times for %s: look in pg_stat_activity for one that has been open for long, and end it: %w", try, m.tableWait, err)
		}
		m.cfg.Logger.WarnContext(ctx, "tables are locked by another transaction; the migration is tried again", "schema", m.cfg.Schema, "try", try)
		timer := time.NewTimer(tablePause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

func (m *migrator) once(ctx context.Context, run func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, m.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, notice); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprintf("%dms", m.tableWait.Milliseconds())); err != nil {
			return err
		}
		return run(tx)
	})
}

// exists says whether a table, given as SQL wants it, is there.
func (m *migrator) exists(ctx context.Context, table string) (bool, error) {
	var there bool
	if err := m.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&there); err != nil {
		return false, fmt.Errorf("look for table %s: %w", table, err)
	}
	return there, nil
}
