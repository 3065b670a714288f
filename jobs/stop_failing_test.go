package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A process that is stopped while it writes down a failure writes it nevertheless, so
// that nobody has to wait for the end of the lease.
func TestStoppedWhileFailing(t *testing.T) {
	failing, locked := make(chan struct{}), make(chan struct{})
	b := setup(t, only(func(context.Context, *backup.ExportRequest) (*backup.Export, error) {
		close(failing)
		<-locked
		return nil, backup.Retryable(errors.New("it broke"), "")
	}))
	ended := make(chan context.Context, 1)
	client, _ := b.riverClient(func(c *Config, rc *river.Config) {
		c.LeaseDuration = 10 * time.Minute
		rc.Middleware = append(rc.Middleware, river.WorkerMiddlewareFunc(func(ctx context.Context, job *rivertype.JobRow, inner func(context.Context) error) error {
			if job.Kind == backup.KindTaskPrefix+"p" {
				ended <- ctx
			}
			return inner(ctx)
		}))
	})
	require.NoError(t, client.Start(b.ctx))
	id := b.start()
	<-failing
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	var pid int
	require.NoError(t, tx.QueryRow(b.ctx, b.in("SELECT pg_backend_pid() FROM {backup} WHERE id = $1 FOR NO KEY UPDATE"), id).Scan(&pid))
	close(locked)
	b.eventually("the failure to be written", 20*time.Second, func() bool {
		return b.count("SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))", pid) > 0
	})
	stopped := make(chan error, 1)
	go func() { stopped <- client.StopAndCancel(context.WithoutCancel(b.ctx)) }()
	<-(<-ended).Done()
	require.NoError(t, tx.Rollback(b.ctx))
	require.NoError(t, <-stopped)
	got, err := b.client.Get(b.ctx, id)
	require.NoError(t, err)
	require.Len(t, got.Tasks[0].Attempts, 1)
	require.Equal(t, backup.AttemptFailed, got.Tasks[0].Attempts[0].Outcome)
	require.Zero(t, b.count("SELECT count(*) FROM {backup_task} WHERE lease_token IS NOT NULL"))
}
