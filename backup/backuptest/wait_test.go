package backuptest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/backuptest"
	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

func TestWait(t *testing.T) {
	t.Parallel()
	pool, schema := envtest.Schema(t)
	_, err := migrations.Up(t.Context(), pool, &migrations.Config{Schema: schema})
	require.NoError(t, err)
	client, err := backup.New(&backup.Config{Pool: pool, Schema: schema})
	require.NoError(t, err)
	b, err := client.Start(t.Context(), backup.StartParams{UserID: "user", SiteID: "site"})
	require.NoError(t, err)

	// Nobody works it.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = backuptest.Wait(ctx, client, b.ID)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "wait for backup "+b.ID+", which is pending")

	type result struct {
		backup *backup.Backup
		err    error
	}
	waited := make(chan result, 1)
	go func() {
		b, err := backuptest.Wait(t.Context(), client, b.ID)
		waited <- result{b, err}
	}()
	_, err = client.Cancel(t.Context(), b.ID)
	require.NoError(t, err)
	r := <-waited
	require.NoError(t, r.err)
	require.Equal(t, backup.StateCanceled, r.backup.State)

	_, err = backuptest.Wait(t.Context(), client, "none")
	require.ErrorIs(t, err, backup.ErrNotFound)
}
