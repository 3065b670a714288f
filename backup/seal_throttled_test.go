package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A store that asks to wait uses no attempts up, when the manifest is written
// either: ten polite waits of a second must not fail a backup whose data is all
// there.
func TestThrottledSealUsesAttemptsUp(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	b.finish(id, "db")
	policy := backup.RetryPolicy{MaxAttempts: 10} // jobs.Config.StepAttempts
	for i := range 10 {
		b.due(id)
		w, err := b.ledger.ClaimSeal(b.ctx, id, claim(b.job(id, "")))
		require.NoError(t, err)
		out, err := b.ledger.FailStep(b.ctx, w, backup.Classify(backup.RetryAfter(errTest, time.Second, "")), policy)
		require.NoError(t, err)
		require.False(t, out.Final, "wait %d", i+1)
	}
}
