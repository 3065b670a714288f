package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// River jobs that wait get the priority of backups that have fewer older ones before
// them, once those have ended.
func TestRiverJobsAreRankedAnew(t *testing.T) {
	b := setup(t)
	var older []string
	for range 16 {
		older = append(older, b.start().ID)
	}
	task := b.start().ID
	b.plan(task, "site")
	plan := b.start().ID
	running := b.start().ID
	priority := func(id, provider string) int {
		return b.count(`SELECT priority FROM {river_job} WHERE id = $1`, b.job(id, provider))
	}
	b.exec(`UPDATE {river_job} SET state = 'running' WHERE id = $1`, b.job(running, ""))
	end := func(ids []string) {
		for _, id := range ids {
			_, err := b.client.Cancel(b.ctx, id)
			require.NoError(t, err)
		}
		_, err := b.ledger.Reconcile(b.ctx, 100)
		require.NoError(t, err)
	}
	end(nil)
	require.Equal(t, 4, priority(task, "site"))
	require.Equal(t, 4, priority(plan, ""))
	end(older[:10])
	require.Equal(t, 3, priority(task, "site"))
	require.Equal(t, 3, priority(plan, ""))
	end(older[10:])
	require.Equal(t, 1, priority(task, "site"))
	require.Equal(t, 2, priority(plan, ""))
	require.Equal(t, 4, priority(running, ""), "it waits for nobody")
}
