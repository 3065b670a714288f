package backup_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A source that asks to wait for ever is told that this is too long.
func TestRetryAfterOverflows(t *testing.T) {
	b := setup(t)
	w := b.claim(b.planFor("a", "site"), "site")
	b.ago(w, 10*time.Second)
	out, err := b.ledger.FailTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(backup.RetryAfter(errTest, math.MaxInt64, "")), defaultPolicy)
	require.NoError(t, err)
	require.True(t, out.Final, "the next attempt is in %s", out.Delay)
}
