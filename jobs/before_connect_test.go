package jobs

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A pool may fill in what it connects with (a token that lives an hour, say) in
// its hook: the session that holds the stable id connects in the same way.
func TestStableIDIgnoresThePoolsHook(t *testing.T) {
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: tiny{}}}
	}})
	cfg := b.pool.Config()
	right := cfg.ConnConfig.User
	cfg.ConnConfig.User = "nobody-yet"
	cfg.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		cc.User = right
		return nil
	}
	pool, err := pgxpool.NewWithConfig(b.ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, pool.Ping(b.ctx), "the pool works")
	b.client, err = backup.New(&backup.Config{
		Pool: pool, Schema: b.schema, Store: b.store, Logger: b.logger,
		Providers: []backup.ProviderConfig{{Name: "site", Provider: tiny{}}},
	})
	require.NoError(t, err)
	w, err := New(b.client, &Config{StableID: "pod-0"})
	require.NoError(t, err)
	stop, err := w.TakeBack(b.ctx)
	require.NoError(t, err)
	stop()
}
