package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A deleted backup's place is looked at twice, and then forgotten.
func TestTombstones(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	b := setup(t, func(c *backup.Config) { c.Now, c.Prefix = func() time.Time { return now }, "pre/fix" })
	id := b.start(func(p *backup.StartParams) { p.UserID = "a/b" }).ID
	_, err := b.client.Cancel(b.ctx, id)
	require.NoError(t, err)
	_, err = b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	require.NoError(t, b.ledger.FinishDelete(b.ctx, b.claimDelete(id).Lease))

	for _, wait := range []time.Duration{10 * time.Minute, 7 * day} {
		now = now.Add(wait - time.Second)
		due, err := b.ledger.DueTombstones(b.ctx, 10)
		require.NoError(t, err)
		require.Empty(t, due)
		now = now.Add(time.Second)
		due, err = b.ledger.DueTombstones(b.ctx, 10)
		require.NoError(t, err)
		require.Len(t, due, 1)
		require.Equal(t, "pre/fix/a%2Fb/"+siteID+"/"+id+"/", due[0].Prefix)
		for range 2 { // another process has looked, too
			require.NoError(t, b.ledger.SweptTombstone(b.ctx, due[0]))
		}
	}
	require.Zero(t, b.count("SELECT count(*) FROM {backup_tombstone}"))
}
