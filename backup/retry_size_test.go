package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// What an export announced in an earlier life must not fail the retry of a
// backup that fits by now.
func TestRetryFailsByWhatWasAnnouncedBefore(t *testing.T) {
	b := setup(t)
	id := b.start(func(p *backup.StartParams) { p.MaxSize = 1000 }).ID
	b.plan(id, "db", "site")
	require.NoError(t, b.ledger.OpenTask(b.ctx, b.claim(id, "db"), backup.Source{Size: 900}))
	site := b.claim(id, "site")
	err := b.ledger.OpenTask(b.ctx, site, backup.Source{Size: 200})
	var size *backup.SizeError
	require.ErrorAs(t, err, &size)
	require.True(t, b.fail(site, err).Final)
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskCanceled, "site": backup.TaskFailed})

	// The user does as the hint says: the database's export has 100 bytes now.
	_, err = b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	site = b.claim(id, "site") // whichever is opened first
	require.NoError(t, b.ledger.OpenTask(b.ctx, site, backup.Source{Size: 200}))
	require.NoError(t, b.ledger.OpenTask(b.ctx, b.claim(id, "db"), backup.Source{Size: 100}))
}
