package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A transaction that its process slept through is ended by Postgres with 25P03,
// as Client.inTx asks it to: that isn't the source's failure.
func TestIdleInTransactionIsNotTheSourcesFailure(t *testing.T) {
	b := setup(t)
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = tx.Exec(b.ctx, "SET LOCAL idle_in_transaction_session_timeout = '50ms'")
	require.NoError(t, err)
	pid := tx.Conn().PgConn().PID()
	require.Eventually(t, func() bool {
		return b.count("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid) == 0
	}, 10*time.Second, 10*time.Millisecond)
	_, err = tx.Exec(b.ctx, "SELECT 1")
	require.Error(t, err)
	require.True(t, backup.IsUnavailable(err), "%v", err)
}
