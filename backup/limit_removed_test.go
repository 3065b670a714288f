package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A limit that is taken out of the configuration while tasks wait must not leave
// them waiting for ever.
func TestLimitRemovedWhileTasksWait(t *testing.T) {
	b := setup(t, limitSite(1))
	first, second := b.planFor("a", "site"), b.planFor("b", "site")
	running := b.claim(first, "site")
	b.waits(second, "site")

	// The operator removes the limit and restarts everything.
	unlimited, err := backup.New(&backup.Config{Pool: b.pool, Schema: b.schema, Logger: b.client.Logger(), Providers: []backup.ProviderConfig{{Name: "site"}, {Name: "db"}}})
	require.NoError(t, err)
	b.client, b.ledger = unlimited, unlimited.Ledger()
	b.done(running)
	for range 3 {
		_, err = b.ledger.Admit(b.ctx, 8)
		require.NoError(t, err)
		b.reconcile()
	}
	require.Positive(t, b.count(`SELECT count(*) FROM {backup_task} WHERE backup_id = $1 AND river_job_id IS NOT NULL`, second),
		"the task has a River job that will run it")
}
