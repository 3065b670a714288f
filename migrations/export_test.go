package migrations

import (
	"context"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// LockKey lets a test hold the lock.
var LockKey = lockKey

// UpFrom is Up with migrations of the test's own.
func UpFrom(ctx context.Context, fsys fs.FS, pool *pgxpool.Pool, config *Config) ([]Applied, error) {
	m, err := newMigratorFrom(fsys, pool, config)
	if err != nil {
		return nil, err
	}
	return m.up(ctx)
}

// DownFrom is Down with migrations of the test's own.
func DownFrom(ctx context.Context, fsys fs.FS, pool *pgxpool.Pool, config *Config, opts DownOptions) ([]Applied, error) {
	m, err := newMigratorFrom(fsys, pool, config)
	if err != nil {
		return nil, err
	}
	return m.down(ctx, opts)
}

// UpImpatiently is UpFrom that waits for a table's lock for a moment, twice.
func UpImpatiently(ctx context.Context, fsys fs.FS, pool *pgxpool.Pool, config *Config) ([]Applied, error) {
	m, err := newMigratorFrom(fsys, pool, config)
	if err != nil {
		return nil, err
	}
	m.tableWait, m.tableTries = 100*time.Millisecond, 2
	return m.up(ctx)
}

func newMigratorFrom(fsys fs.FS, pool *pgxpool.Pool, config *Config) (*migrator, error) {
	m, err := newMigrator(pool, config)
	if err != nil {
		return nil, err
	}
	m.own, err = load(fsys)
	return m, err
}
