package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A task that a stopping worker hands over, with most of its export stored, goes
// on within seconds: a deploy must not give its room to one that waits.
func TestHandedOverTaskLosesItsRoom(t *testing.T) {
	b := setup(t, limitSite(1))
	first, second := b.planFor("a", "site"), b.planFor("b", "site")
	w := b.claim(first, "site")
	b.waits(second, "site")
	require.NoError(t, b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: w.Lease})) // SIGTERM
	_, err := b.ledger.Admit(b.ctx, 8)                                           // as taskWorker.Work does then
	require.NoError(t, err)
	_, err = b.ledger.ClaimTask(b.ctx, b.taskArgs(first, "site"), claim(b.job(first, "site")))
	require.NoError(t, err, "the next worker goes on with it")
}

// The same of a worker that died and is back under its stable id.
func TestTakenBackTaskLosesItsRoom(t *testing.T) {
	b := setup(t, limitSite(1))
	first, second := b.planFor("a", "site"), b.planFor("b", "site")
	b.claim(first, "site")
	b.waits(second, "site")
	n, err := b.ledger.TakeBack(b.ctx, "test")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = b.ledger.Admit(b.ctx, 8) // of any worker, before the new River job is fetched
	require.NoError(t, err)
	_, err = b.ledger.ClaimTask(b.ctx, b.taskArgs(first, "site"), claim(b.job(first, "site")))
	require.NoError(t, err, "the task was taken back at once")
}
