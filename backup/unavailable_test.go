package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/migrations"
)

func TestIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"57P01", "57P02", "57P03", "53300", "08006", "08001", "25006"} {
		require.True(t, backup.IsUnavailable(fmt.Errorf("read: %w", &pgconn.PgError{Code: code})), code)
	}
	for _, code := range []string{"23505", "42P01", "57014", "40001"} {
		require.False(t, backup.IsUnavailable(&pgconn.PgError{Code: code}), code)
	}
	require.True(t, backup.IsUnavailable(context.DeadlineExceeded))
	require.True(t, backup.IsUnavailable(fmt.Errorf("read: %w", io.ErrUnexpectedEOF)))
	for _, err := range []error{nil, backup.ErrNotFound, context.Canceled, errors.New("x")} {
		require.False(t, backup.IsUnavailable(err), "%v", err)
	}
}

// What the driver really says.
func TestIsUnavailableForReal(t *testing.T) {
	b := setup(t)
	params := backup.StartParams{UserID: userID, SiteID: siteID}
	client := func(pool *pgxpool.Pool) *backup.Client {
		c, err := backup.New(&backup.Config{Pool: pool, Schema: b.schema})
		require.NoError(t, err)
		return c
	}

	nowhere, err := pgxpool.New(b.ctx, "postgres://u@127.0.0.1:1/d")
	require.NoError(t, err)
	_, err = client(nowhere).Start(b.ctx, params)
	require.True(t, backup.IsUnavailable(err), "refused: %v", err)
	nowhere.Close()
	_, err = client(nowhere).Start(b.ctx, params)
	require.True(t, backup.IsUnavailable(err), "closed: %v", err)

	one, err := pgxpool.NewWithConfig(b.ctx, func() *pgxpool.Config {
		cfg := b.pool.Config()
		cfg.MaxConns = 1
		return cfg
	}())
	require.NoError(t, err)
	defer one.Close()
	conn, err := one.Acquire(b.ctx)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(b.ctx, 10*time.Millisecond)
	defer cancel()
	_, err = client(one).Start(short, params)
	require.True(t, backup.IsUnavailable(err), "no connection free: %v", err)

	// A server that ends the connection under a query.
	var pid uint32
	require.NoError(t, conn.QueryRow(b.ctx, "SELECT pg_backend_pid()").Scan(&pid))
	_, err = b.pool.Exec(b.ctx, "SELECT pg_terminate_backend($1)", pid)
	require.NoError(t, err)
	_, err = conn.Exec(b.ctx, "SELECT 1")
	require.True(t, backup.IsUnavailable(err), "terminated: %v", err)
	conn.Release()
}

func TestCheckDatabase(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.client.CheckDatabase(b.ctx))
	_, err := migrations.Down(b.ctx, b.pool, &migrations.Config{Schema: b.schema, Logger: b.client.Logger()}, nil)
	require.NoError(t, err)
	require.ErrorIs(t, b.client.CheckDatabase(b.ctx), migrations.ErrPending)
}
