package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// With ContinueOnFailure the others run on when one export is too large: its
// bytes are in no object, and must not fail the small ones.
func TestFailedTasksBytesFailItsSiblings(t *testing.T) {
	b := setup(t)
	id := b.start(func(p *backup.StartParams) { p.MaxSize, p.ContinueOnFailure = 1000, true }).ID
	b.plan(id, "db", "site")
	db := b.claim(id, "db")
	require.NoError(t, b.ledger.OpenTask(b.ctx, db, backup.Source{Size: -1}))
	for i := range 2 {
		require.NoError(t, b.ledger.JournalTask(b.ctx, db, &blob.Checkpoint{Parts: parts(db, i, 500), Offset: int64(i+1) * 500, SHA256: []byte("state")}, false))
	}
	err := b.ledger.JournalTask(b.ctx, db, &blob.Checkpoint{Parts: parts(db, 2, 500), Offset: 1500, SHA256: []byte("state")}, false)
	var size *backup.SizeError
	require.ErrorAs(t, err, &size)
	require.True(t, b.fail(db, err).Final)
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskFailed, "site": backup.TaskPending})
	require.NoError(t, b.ledger.OpenTask(b.ctx, b.claim(id, "site"), backup.Source{Size: 10}))
}
