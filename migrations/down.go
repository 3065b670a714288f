package migrations

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivermigrate"
)

// DownOptions says how far Down goes. Nil stands for one step.
type DownOptions struct {
	// Steps is how many of our migrations are reverted, the newest first.
	//
	// Defaults to 1. Not used with All.
	Steps int

	// All reverts every migration of ours.
	All bool

	// RiverToo also reverts every migration of River, once none of ours is left;
	// while one of ours is left, River stays as it is. All jobs are lost, also
	// those of other programs that use River in this schema.
	RiverToo bool
}

// Down reverts migrations, and destroys the data of the tables that it drops:
// read the package's documentation first. It returns what it reverted, in order;
// with an error, what it had reverted before. It never drops the schema.
//
// It fails, before it has changed anything, when the database has a migration
// that this program does not know: only the release that applied it can take it
// back.
func Down(ctx context.Context, pool *pgxpool.Pool, config *Config, opts *DownOptions) ([]Applied, error) {
	m, err := newMigrator(pool, config)
	if err != nil {
		return nil, err
	}
	var o DownOptions
	if opts != nil {
		o = *opts
	}
	if o.Steps < 0 {
		return nil, fmt.Errorf("Steps must not be negative: %d", o.Steps)
	}
	return m.down(ctx, o)
}

func (m *migrator) down(ctx context.Context, o DownOptions) (done []Applied, err error) {
	err = m.locked(ctx, func(ctx context.Context) error {
		report, err := m.status(ctx)
		if err != nil {
			return err
		}
		if err := report.known(m, o.RiverToo); err != nil {
			return err
		}
		own := report.Backup.Applied
		steps := o.count(len(own))
		if done, err = m.downOwn(ctx, own, steps); err != nil {
			return err
		}
		if !o.RiverToo || steps < len(own) {
			return nil
		}
		river, err := m.runRiver(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1})
		done = append(done, river...)
		return err
	})
	return done, err
}

// count is how many of the applied migrations are to be reverted.
func (o *DownOptions) count(applied int) int {
	if o.All {
		return applied
	}
	return min(max(o.Steps, 1), applied)
}

// downOwn reverts the newest of the applied migrations, and with the last one
// drops the table that recorded them.
func (m *migrator) downOwn(ctx context.Context, applied []Version, steps int) ([]Applied, error) {
	var done []Applied
	for i, v := range slices.Backward(applied) {
		if len(done) == steps {
			break
		}
		mig := m.own[v.Version-1]
		if err := m.revert(ctx, mig, i == 0); err != nil {
			return done, fmt.Errorf("revert migration %d (%s): %w", mig.version, mig.name, err)
		}
		m.log(ctx, string(DirectionDown), mig.applied())
		done = append(done, mig.applied())
	}
	return done, nil
}

func (m *migrator) revert(ctx context.Context, mig migration, last bool) error {
	return m.atomically(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, m.cfg.in(`DELETE FROM {{schema}}.backup_migration WHERE version = $1`), mig.version); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, m.cfg.in(mig.down)); err != nil {
			return err
		}
		if !last {
			return nil
		}
		_, err := tx.Exec(ctx, m.cfg.in(dropLedger))
		return err
	})
}
