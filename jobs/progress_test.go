package jobs

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// While an export runs its rate, and the time that the rest will take, are on the
// task and in its events, and how far it came is on the River job.
func TestProgress(t *testing.T) {
	const size, rate = 8 << 20, 1 << 20
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: size, Fault: export.Fault{Rate: rate}}}})
	b.work(func(c *Config, _ *river.Config) { c.LeaseDuration, c.Heartbeat = 5*time.Second, 200*time.Millisecond })
	id := b.start()
	b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool {
		if len(now.Tasks) == 0 || now.Tasks[0].ETA() == nil {
			return false
		}
		task := now.Tasks[0]
		rest := time.Duration(float64(size-task.ReceivedBytes) / float64(task.Rate) * float64(time.Second))
		require.InDelta(t, rest.Seconds(), task.ETA().Seconds(), 1)
		return task.Rate > rate/4 && task.Rate < rate*4
	})
	var output struct {
		StoredBytes   int64  `json:"stored_bytes"`
		AnnouncedSize int64  `json:"announced_size"`
		Object        string `json:"object"`
	}
	b.eventually("progress on the River job", 10*time.Second, func() bool {
		var raw []byte
		err := b.pool.QueryRow(b.ctx, b.in("SELECT coalesce(metadata->'output', 'null') FROM {river_job} WHERE kind = 'backup_task_site'")).Scan(&raw)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &output))
		return output.StoredBytes > 0
	})
	require.EqualValues(t, size, output.AnnouncedSize)
	require.NotEmpty(t, output.Object)

	var seen struct {
		Rate int64    `json:"rate"`
		ETA  *float64 `json:"etaSeconds"`
	}
	b.eventually("an event with a rate", 10*time.Second, func() bool {
		events, err := b.client.Events(b.ctx, id, 0, 1000)
		require.NoError(t, err)
		for _, e := range events {
			require.NoError(t, json.Unmarshal(e.Data, &seen))
			if e.Name == backup.EventUpdatePartTask && seen.Rate > 0 && seen.ETA != nil {
				return true
			}
		}
		return false
	})
	_, err := b.client.Cancel(b.ctx, id)
	require.NoError(t, err)
	got := b.wait(id)
	require.Equal(t, backup.StateCanceled, got.State)
	require.Zero(t, got.Tasks[0].Rate, "what doesn't run has no rate")
}

func TestSpeed(t *testing.T) {
	t.Parallel()
	var s speed
	at := time.Unix(0, 0)
	tick := func(d time.Duration, bytes int64) int64 { at = at.Add(d); return s.update(at, bytes) }
	require.Zero(t, tick(0, 100), "one value makes no rate")
	require.EqualValues(t, 50, tick(2*time.Second, 200))
	require.EqualValues(t, 50, tick(0, 300), "no time has passed")
	require.EqualValues(t, 80, tick(time.Second, 350), "the newest interval weighs 30 %")
	require.EqualValues(t, 56, tick(time.Second, 350), "a stall brings it down")
	require.Zero(t, tick(time.Second, 10), "the export was begun again")
	require.EqualValues(t, 90, tick(time.Second, 100))
}
