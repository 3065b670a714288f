package backup_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// erased erases a user who has the tombstone of one backup, and returns the backup's id.
func (b *bundle) erased(user string, now time.Time) (id string) {
	b.Helper()
	id = uuid.Must(uuid.NewV7()).String()
	b.exec("INSERT INTO {backup_tombstone} (backup_id, user_id, site_id, prefix, due_at) VALUES ($1, $2, 's', '', $3)", id, user, now.Add(10*time.Minute))
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: user})
	require.NoError(b, err)
	work, err := b.ledger.BeginErasure(b.ctx, e.ID, int64(b.count("SELECT river_job_id FROM {backup_erasure} WHERE id = $1", e.ID)))
	require.NoError(b, err)
	finished, err := b.ledger.FinishErasure(b.ctx, work)
	require.NoError(b, err)
	require.True(b, finished)
	return id
}

// However many are erased, and when, the store is looked through once a day: also where a
// look has failed.
func TestForgottenAreDueOnceADay(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	due := func(at string) []*backup.Forgotten {
		*now = clockAt(t, at)
		all, err := b.ledger.DueForgotten(b.ctx)
		require.NoError(t, err)
		return all
	}
	var ids []string
	for hour := range 24 {
		require.Empty(t, due(fmt.Sprintf("%d:00", hour)))
		if hour%8 == 1 {
			ids = append(ids, b.erased(fmt.Sprint("u", hour), *now))
		}
	}
	for _, at := range []string{"24:00", "48:00"} {
		all := due(at)
		require.Len(t, all, 1, at)
		for _, id := range ids {
			_, ok := all[0].Has("u/s/" + id + "/manifest.json")
			require.True(t, ok)
		}
		require.Empty(t, due("47:59"), "the look goes on, or has failed")
	}
	all := due("72:00")
	require.NoError(t, b.ledger.SweptForgotten(b.ctx, all[0]))
	require.Empty(t, due("240:00"), "parts that were staged may live yet")
	all = due("264:00")
	require.Len(t, all, 1)
	require.NoError(t, b.ledger.SweptForgotten(b.ctx, all[0]))
	require.Zero(t, b.count("SELECT count(*) FROM {backup_forgotten}"))
}
