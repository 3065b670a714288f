package jobs

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// operator is what River UI does with jobs.
func (b *bundle) operator() *river.Client[pgx.Tx] {
	b.Helper()
	rc, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{Schema: b.schema, Logger: b.logger})
	require.NoError(b, err)
	return rc
}

// jobIDs are those of our backups' jobs.
func (b *bundle) jobIDs() []int64 {
	b.Helper()
	rows, err := b.pool.Query(b.ctx, b.in("SELECT id FROM {river_job} WHERE kind ~ '^backup(_task_.*|_seal|_delete|_verify)?$' ORDER BY id"))
	require.NoError(b, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(b, err)
	return ids
}

func (b *bundle) jobsEnd() {
	b.Helper()
	b.eventually("River's jobs to end", 30*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE kind ~ '^backup(_task_.*|_seal|_delete|_verify)?$' AND finalized_at IS NULL") == 0
	})
}

// Somebody retries all jobs of a backup that has ended: nothing happens to it.
func TestRetriedInRiver(t *testing.T) {
	t.Parallel()
	for state, fault := range map[backup.State]export.Fault{
		backup.StateDone: {}, backup.StateFailed: {Status: 404}, backup.StateCanceled: {Rate: 1 << 20},
	} {
		t.Run(string(state), func(t *testing.T) {
			b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: 4 << 20, Fault: fault}, {Name: "db", Size: 1000}}})
			b.work()
			id := b.start()
			if state == backup.StateCanceled {
				b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 2 && now.Tasks[1].StoredBytes > 0 })
				_, err := b.client.Cancel(b.ctx, id)
				require.NoError(t, err)
			}
			require.Equal(t, state, b.wait(id).State)
			b.jobsEnd()
			before, keys := b.ourRows(), b.keys()
			for _, job := range b.jobIDs() {
				got, err := b.operator().JobRetry(b.ctx, job)
				require.NoError(t, err)
				require.Equal(t, rivertype.JobStateAvailable, got.State)
			}
			b.jobsEnd()
			require.Zero(t, b.count("SELECT count(*) FROM {river_job} WHERE state = 'discarded'"))
			require.Equal(t, before, b.ourRows())
			require.Equal(t, keys, b.keys())
		})
	}
}

// Somebody deletes the jobs before they run: the reconciler replaces them.
func TestDeletedInRiver(t *testing.T) {
	b := setup(t, setupOptions{apis: siteAndDB(1 << 20)})
	id := b.start()
	for _, job := range b.jobIDs() {
		_, err := b.operator().JobDelete(b.ctx, job)
		require.NoError(t, err)
	}
	require.Empty(t, b.jobIDs())
	b.work() // its leader reconciles at once
	got := b.wait(id)
	b.requireCopy(got)
	require.Equal(t, 1, got.Tasks[0].Attempt)
	b.requireSound()
}
