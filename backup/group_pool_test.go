package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// poolOf is a second pool on b's database, and a bundle whose verbs use it.
func (b *bundle) poolOf(configure func(*pgxpool.Config)) *bundle {
	b.Helper()
	cfg := b.pool.Config()
	configure(cfg)
	pool, err := pgxpool.NewWithConfig(b.ctx, cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	client, err := backup.New(&backup.Config{Pool: pool, Schema: b.schema, Logger: b.client.Logger(), Providers: []backup.ProviderConfig{{Name: "site"}, {Name: "db"}}})
	require.NoError(b, err)
	other := *b
	other.pool, other.client, other.ledger = pool, client, client.Ledger()
	return &other
}

// Groups are written in each way of execution that asks Postgres for the types of
// arguments, and leave none of their settings on its connections. The others are
// refused.
func TestGroupInEveryExecMode(t *testing.T) {
	b := setup(t)
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			m := *b.poolOf(func(cfg *pgxpool.Config) { cfg.MaxConns, cfg.ConnConfig.DefaultQueryExecMode = 1, mode })
			m.T = t
			for way, ledger := range map[string]*backup.Ledger{"general": m.ledger.General(), "group": m.ledger} {
				t.Run(way, func(t *testing.T) {
					m := m
					m.T, m.ledger = t, ledger
					id := b.start().ID
					m.plan(id, "db", "site")
					m.finish(id, "db")
					m.finish(id, "site")
					m.seal(id)
					b.requireState(id, backup.StateDone, states{"db": backup.TaskDone, "site": backup.TaskDone})
				})
			}
			for name, want := range map[string]string{
				"plan_cache_mode": "auto", "enable_seqscan": "on", "enable_hashjoin": "on", "enable_mergejoin": "on", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
			} {
				var got string
				require.NoError(t, m.pool.QueryRow(m.ctx, "SELECT current_setting($1)", name).Scan(&got))
				require.Equal(t, want, got, name)
			}
		})
	}
}

func TestExecModesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		cfg, err := pgxpool.ParseConfig("postgres://localhost/none")
		require.NoError(t, err)
		cfg.ConnConfig.DefaultQueryExecMode = mode
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg) // it doesn't connect
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		_, err = backup.New(&backup.Config{Pool: pool})
		require.ErrorContains(t, err, "Pool must not use QueryExecModeExec")
	}
}

// A caller whose context ends while all the pool's connections are in use is told
// so then, and not when the group's patience is at its end.
func TestGroupWaitsForAConnectionNoLongerThanItsCaller(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	job := b.job(id, "")
	m := b.poolOf(func(cfg *pgxpool.Config) { cfg.MaxConns = 1 })
	held, err := m.pool.Acquire(b.ctx)
	require.NoError(t, err)
	defer held.Release()
	for name, ledger := range map[string]*backup.Ledger{"general": m.ledger.General(), "group": m.ledger} {
		ctx, cancel := context.WithTimeout(b.ctx, 200*time.Millisecond)
		began := time.Now()
		_, err = ledger.ClaimPlan(ctx, id, claim(job))
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(began), 3*time.Second, name)
	}
}

// Whatever ends when, nobody hangs, and who was told of a claim has it and nobody
// else has one.
func TestGroupsWithCallersThatGiveUpAtRandom(t *testing.T) {
	b := setup(t)
	const n = 400
	ids, jobs := make([]string, n), make([]int64, n)
	require.NoError(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		for i := range ids {
			started, err := b.client.StartTx(b.ctx, tx, backup.StartParams{UserID: fmt.Sprint(i), SiteID: siteID})
			if err != nil {
				return err
			}
			ids[i] = started.ID
		}
		return nil
	}))
	for i, id := range ids {
		jobs[i] = b.job(id, "")
	}
	m := b.poolOf(func(cfg *pgxpool.Config) { cfg.MaxConns = 2 })
	before := runtime.NumGoroutine()
	claimed := make([]*backup.StepWork, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(b.ctx, time.Duration(rand.N(int64(60*time.Millisecond))))
			defer cancel()
			claimed[i], errs[i] = m.ledger.ClaimPlan(ctx, ids[i], claim(jobs[i]))
		})
	}
	wg.Wait()
	ok := 0
	for i := range ids {
		var got *string
		require.NoError(t, b.pool.QueryRow(b.ctx, b.in(`SELECT lease_token::text FROM {backup} WHERE id = $1`), ids[i]).Scan(&got))
		if errs[i] == nil {
			ok++
			require.NotNil(t, got)
			require.Equal(t, claimed[i].Token.String(), *got)
		} else {
			require.True(t, errors.Is(errs[i], context.DeadlineExceeded), "%v", errs[i])
			require.Nil(t, got, "%v", errs[i])
		}
	}
	t.Log(ok, "of", n, "claimed;", before, runtime.NumGoroutine())
}
