package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func TestStats(t *testing.T) {
	b := setup(t)
	before, err := b.client.Stats(b.ctx)
	require.NoError(t, err)
	require.Len(t, before.Backups, 7)
	require.Len(t, before.Tasks, 6)
	require.Zero(t, before.Backups[backup.StatePending])
	require.Empty(t, before.Jobs)

	for range 3 {
		started, err := b.client.Start(b.ctx, backup.StartParams{UserID: userID, SiteID: siteID})
		require.NoError(t, err)
		_, err = b.pool.Exec(b.ctx, replaceTables(`INSERT INTO {backup_task} (id, backup_id, provider, state, upload_id, object_key, content_type,
				received_bytes, stored_bytes, stored_parts, size, sha256, proof, started_at, capture_started_at, capture_finished_at, finished_at)
			SELECT gen_random_uuid(), $1, p, s, gen_random_uuid(), 'k', 'application/sql', n, n, 1, n, decode(repeat('ab', 32), 'hex'), 'length', now(), now(), now(), f
			FROM (VALUES ('site', 'done', 1000, now()), ('db', 'committing', 7, NULL)) AS v (p, s, n, f)`, b.schema), started.ID)
		require.NoError(t, err)
	}
	_, err = b.pool.Exec(b.ctx, replaceTables(`INSERT INTO {river_job} (kind, args, queue, max_attempts, state) VALUES
		('backup_task_db', jsonb_build_object(), 'backup_task_db', 1, 'retryable'), ('backup_verify', jsonb_build_object(), 'backup_verify', 1, 'running'), ('other', jsonb_build_object(), 'somebody_elses', 1, 'available')`, b.schema))
	require.NoError(t, err)
	after, err := b.client.Stats(b.ctx)
	require.NoError(t, err)
	require.Equal(t, int64(3), after.Backups[backup.StatePending])
	require.Equal(t, int64(3), after.Tasks[backup.TaskDone])
	require.Equal(t, int64(3), after.Tasks[backup.TaskCommitting])
	require.Equal(t, int64(3000), after.StoredBytes, "of done tasks")
	require.Equal(t, []backup.JobCount{{Queue: "backup", State: "available", Jobs: 3}, {Queue: "backup_task_db", State: "retryable", Jobs: 1}, {Queue: "backup_verify", State: "running", Jobs: 1}}, after.Jobs)
}
