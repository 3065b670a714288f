package migrations

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivermigrate"
)

// Up creates the schema where it is missing, and applies what is missing of
// River's migrations, then of ours. It returns what it applied, in order;
// nothing, when there was nothing to do. Any number of processes may call it at
// once.
//
// With an error it returns what it had applied before, which stays; only
// River's are left out where one of River's own failed.
//
// It needs no right to create a schema that exists.
func Up(ctx context.Context, pool *pgxpool.Pool, config *Config) ([]Applied, error) {
	m, err := newMigrator(pool, config)
	if err != nil {
		return nil, err
	}
	return m.up(ctx)
}

func (m *migrator) up(ctx context.Context) (done []Applied, err error) {
	err = m.locked(ctx, func(ctx context.Context) error {
		if err := m.createSchema(ctx); err != nil {
			return err
		}
		if done, err = m.runRiver(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		own, err := m.upOwn(ctx)
		done = append(done, own...)
		return err
	})
	return done, err
}

// createSchema looks first, for IF NOT EXISTS asks for the right to create even
// where there is nothing to create.
func (m *migrator) createSchema(ctx context.Context) error {
	var there bool
	err := m.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, m.cfg.Schema).Scan(&there)
	if err == nil && !there {
		_, err = m.pool.Exec(ctx, m.cfg.in("CREATE SCHEMA IF NOT EXISTS {{schema}}"))
	}
	if err != nil {
		return fmt.Errorf("create schema %q: %w", m.cfg.Schema, err)
	}
	return nil
}

func (m *migrator) upOwn(ctx context.Context) ([]Applied, error) {
	line, err := m.ownLine(ctx)
	if err != nil {
		return nil, err
	}
	var done []Applied
	for _, pending := range line.Pending {
		mig := m.own[pending.Version-1]
		first := len(line.Applied)+len(done) == 0
		if err := m.apply(ctx, mig, first); err != nil {
			return done, fmt.Errorf("apply migration %d (%s): %w", mig.version, mig.name, err)
		}
		m.log(ctx, string(DirectionUp), mig.applied())
		done = append(done, mig.applied())
	}
	return done, nil
}

// apply makes the ledger together with the first migration, as Down drops it
// with the last. It records before it runs: the primary key then keeps a second
// process out, even if the lock's connection was lost on the way.
func (m *migrator) apply(ctx context.Context, mig migration, first bool) error {
	return m.atomically(ctx, func(tx pgx.Tx) error {
		if first {
			if _, err := tx.Exec(ctx, m.cfg.in(createLedger)); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, m.cfg.in(`INSERT INTO {{schema}}.backup_migration (version, name) VALUES ($1, $2)`), mig.version, mig.name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, m.cfg.in(mig.up))
		return err
	})
}
