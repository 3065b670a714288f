package backup

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

// Postgres ends a transaction of ours whose process doesn't go on, and with it
// the locks.
func TestTransactionsAreBounded(t *testing.T) {
	t.Parallel()
	pool, schema := envtest.Schema(t)
	_, err := migrations.Up(t.Context(), pool, &migrations.Config{Schema: schema})
	require.NoError(t, err)
	c, err := New(&Config{Pool: pool, Schema: schema})
	require.NoError(t, err)
	bounded := func(tx pgx.Tx) error {
		var bound, isolation string
		require.NoError(t, tx.QueryRow(t.Context(), "SHOW idle_in_transaction_session_timeout").Scan(&bound))
		require.NoError(t, tx.QueryRow(t.Context(), "SHOW transaction_isolation").Scan(&isolation))
		require.Equal(t, "10s", bound)
		require.Equal(t, "read committed", isolation)
		return nil
	}
	require.NoError(t, c.inTx(t.Context(), bounded))
	b, err := c.Start(t.Context(), StartParams{UserID: "u", SiteID: "s"})
	require.NoError(t, err)
	require.NoError(t, c.inChange(t.Context(), b.ID, func(ch *change) error { return bounded(ch.tx) }))
}
