package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// defaultPolicy is that of a provider whose configuration says nothing of it.
var defaultPolicy = backup.RetryPolicy{MaxAttempts: 10, RetryFor: 24 * time.Hour}

// ago sets back when the task's first attempt began.
func (b *bundle) ago(w *backup.TaskWork, d time.Duration) {
	b.Helper()
	b.exec(`UPDATE {backup_task} SET started_at = now() - $2::interval, claimed_at = now() - $2::interval WHERE id = $1`, w.TaskID, d)
}

// A live export may take as long as it likes. When its source breaks off for the
// first time behind 25 healthy hours, it goes on behind what is stored.
func TestFirstCutOfALongExportIsFinal(t *testing.T) {
	b := setup(t)
	id := b.planFor("a", "site")
	w := b.claim(id, "site")
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, Size: 3000}))
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 1000, 1000), Offset: 2000, SHA256: []byte("state")}, false))
	b.ago(w, 25*time.Hour)
	out, err := b.ledger.FailTask(b.ctx, backup.Beat{Lease: w.Lease, ReceivedBytes: 2000}, backup.Classify(errTest), defaultPolicy)
	require.NoError(t, err)
	require.False(t, out.Final, "it was the first failure of ten")
}

// The same where a deploy came first: what the source says to the next attempt is
// the first failure.
func TestFirstFailureBehindALongAttemptIsFinal(t *testing.T) {
	b := setup(t)
	id := b.planFor("a", "site")
	w := b.claim(id, "site")
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, Size: 3000}))
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 1000, 1000), Offset: 2000, SHA256: []byte("state")}, false))
	b.ago(w, 25*time.Hour)
	require.NoError(t, b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: w.Lease, ReceivedBytes: 2000}))
	w = b.claim(id, "site")
	out, err := b.ledger.FailTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(errTest), defaultPolicy) // 502
	require.NoError(t, err)
	require.False(t, out.Final, "it was the first failure of ten")
}

// Time in which a task waits for room under a limit isn't time in which it was tried.
func TestWaitingForRoomUsesRetryForUp(t *testing.T) {
	b := setup(t, limitSite(1))
	id, other := b.planFor("a", "site"), b.planFor("b", "site")
	w := b.claim(id, "site")
	_, err := b.ledger.FailTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(errTest), defaultPolicy)
	require.NoError(t, err)
	running := b.claim(other, "site")
	b.waits(id, "site")
	b.ago(w, 25*time.Hour) // in line
	b.done(running)
	n, err := b.ledger.Admit(b.ctx, 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	w = b.claim(id, "site")
	out, err := b.ledger.FailTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(errTest), defaultPolicy)
	require.NoError(t, err)
	require.False(t, out.Final, "it was the second failure of ten")
}
