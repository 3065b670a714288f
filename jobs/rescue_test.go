package jobs

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// A live task that runs longer than its lease and the age at which River's
// rescuer asks for it stays with its worker; a job that nobody works at doesn't.
func TestLiveTaskIsNotRescued(t *testing.T) {
	data := make([]byte, 256<<10)
	var calls atomic.Int64
	gate := make(chan struct{})
	b := setup(t, only(func(ctx context.Context, _ *backup.ExportRequest) (*backup.Export, error) {
		calls.Add(1)
		return &backup.Export{Body: paused(ctx, data, len(data)/2, gate), Size: int64(len(data)), Validator: `"v"`}, nil
	}))
	b.work(func(c *Config, rc *river.Config) {
		c.LeaseDuration, rc.LeaderElectionDisabled = 2*time.Second, true
	})
	id := b.start()
	b.eventually("the lease and the rescue age to pass", 30*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_task_p' AND state = 'running' AND attempted_at < now() - interval '3 seconds'") == 1
	})
	// The rescuer sees both in one batch.
	b.exec(`INSERT INTO {river_job} (kind, queue, args, max_attempts, state, priority, attempt, attempted_at, attempted_by) VALUES
		('backup_task_p', 'nobody', jsonb_build_object('backup_id', gen_random_uuid(), 'task_id', gen_random_uuid()), 25, 'running', 1, 1, now() - interval '3 seconds', ARRAY['dead'])`)
	b.work() // leads, and rescues at its start
	b.eventually("the dead one to be rescued", 40*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE queue = 'nobody' AND state <> 'running'") == 1
	})
	require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_task_p' AND queue <> 'nobody' AND state = 'running' AND attempt = 1 AND errors IS NULL"))
	close(gate)
	got := b.wait(id)
	b.requireCopy(got)
	require.EqualValues(t, 1, calls.Load())
	require.Equal(t, 1, got.Tasks[0].Attempt)
	b.requireSound()
}

// stopped reports whether the process is, by a signal.
func stopped(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && bytes.Contains(stat, []byte(") T "))
}

// rows is all that is known of backups, and how their River jobs stand.
func (b *bundle) rows() (rows []string) {
	b.Helper()
	for _, query := range []string{
		"SELECT to_jsonb(t)::text FROM {backup} t ORDER BY 1",
		"SELECT to_jsonb(t)::text FROM {backup_task} t ORDER BY 1",
		"SELECT to_jsonb(t)::text FROM {backup_part} t ORDER BY 1",
		"SELECT to_jsonb(t)::text FROM {backup_event} t ORDER BY 1",
		"SELECT id || kind || state FROM {river_job} WHERE kind ~ '^backup(_task_.*|_seal|_delete|_verify)?$' ORDER BY 1",
	} {
		r, err := b.pool.Query(b.ctx, b.in(query))
		require.NoError(b, err)
		texts, err := pgx.CollectRows(r, pgx.RowTo[string])
		require.NoError(b, err)
		rows = append(rows, texts...)
	}
	return rows
}

// A worker process is stopped behind a step until another one has taken its
// work over and ended it. When it goes on it changes nothing.
func TestStopped(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"gate", "commit"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			b := setup(t, setupOptions{store: fileStoreIn(dir), apis: []export.Options{{Name: "site", Size: 1 << 20}}})
			id := b.start()
			p := b.spawnChild(&child{Dir: dir, StopFor: step})
			b.eventually("it to be stopped", 30*time.Second, func() bool { return stopped(p.Process.Pid) })
			b.leasesEnd()
			b.work()
			got := b.wait(id)
			b.requireCopy(got)
			b.eventually("River to know", time.Minute, func() bool {
				return b.count("SELECT count(*) FROM {river_job} WHERE kind ~ '^backup(_task_.*|_seal|_delete|_verify)?$' AND state <> 'completed'") == 0
			})
			before := b.rows()
			keys := b.keys()

			require.NoError(t, p.Process.Signal(syscall.SIGCONT))
			require.NoError(t, p.input.Close())
			require.NoError(t, p.Wait(), "it went on and ended")
			require.Equal(t, before, b.rows(), "what was taken from it stays as it is")
			require.Equal(t, keys, b.keys())
			require.Len(t, keys, 2, "one object and the manifest")
			require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_event} WHERE name = 'UpdateUploadJob' AND data->>'state' = 'done'"))
			b.requireCopy(b.wait(id))
			b.requireSound()
		})
	}
}
