package backup_test

import (
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// planFor starts and plans a backup of one task for the user.
func (b *bundle) planFor(user, provider string) (id string) {
	b.Helper()
	id = b.start(func(p *backup.StartParams) { p.UserID = user }).ID
	b.plan(id, provider)
	return id
}

// waits claims a task and requires that there is no room for it.
func (b *bundle) waits(id, provider string) {
	b.Helper()
	b.due(id)
	_, err := b.ledger.ClaimTask(b.ctx, b.taskArgs(id, provider), claim(b.job(id, provider)))
	var wait *backup.WaitError
	require.ErrorAs(b, err, &wait)
}

// slot is the state of the task's slot.
func (b *bundle) slot(id string) (state string) {
	b.Helper()
	require.NoError(b, b.pool.QueryRow(b.ctx, b.in(`SELECT coalesce((SELECT state FROM {backup_slot} WHERE backup_id = $1), '')`), id).Scan(&state))
	return state
}

// done brings a claimed task to its end.
func (b *bundle) done(w *backup.TaskWork) {
	b.Helper()
	b.gate(w)
	require.NoError(b, b.ledger.FinishTask(b.ctx, w.Lease))
}

func limitSite(n int) func(*backup.Config) {
	return func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", MaxRunning: n}, {Name: "db"}}
	}
}

func limitUser(n int) func(*backup.Config) {
	return func(c *backup.Config) { c.MaxRunningPerUser = n }
}
