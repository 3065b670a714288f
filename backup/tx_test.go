package backup

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

// Postgres ends a transaction of ours whose process doesn't go on, and with it
// the locks.
func TestTransactionsAreBounded(t *testing.T) {
	t.Parallel()
	pool, schema := envtest.Schema(t)
	c, err := New(&Config{Pool: pool, Schema: schema})
	require.NoError(t, err)
	require.NoError(t, c.inTx(t.Context(), func(tx pgx.Tx) error {
		var bound, isolation string
		require.NoError(t, tx.QueryRow(t.Context(), "SHOW idle_in_transaction_session_timeout").Scan(&bound))
		require.NoError(t, tx.QueryRow(t.Context(), "SHOW transaction_isolation").Scan(&isolation))
		require.Equal(t, "10s", bound)
		require.Equal(t, "read committed", isolation)
		return nil
	}))
}
