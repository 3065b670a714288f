package jobs

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// warnings counts what is logged as a warning.
type warnings struct {
	slog.Handler
	count *atomic.Int32
}

func (h warnings) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		h.count.Add(1)
	}
	return nil
}

func (warnings) Enabled(context.Context, slog.Level) bool { return true }

// A process warns when no periodic job was made, every five minutes, and not before
// there was time for one.
func TestMissingTicksAreWarnedOf(t *testing.T) {
	b := setup(t, only(tiny{}.Export))
	var warned atomic.Int32
	w, err := New(b.client, &Config{Logger: slog.New(warnings{slog.DiscardHandler, &warned})})
	require.NoError(t, err)
	fetched := func(queue string, jobs int) {
		w.ticks.MetricEmit(b.ctx, &rivertype.HookMetricEmitParams{Metric: &rivertype.JobGetAvailableCountMetric{Queue: queue, Count: jobs}})
	}
	later := func() { w.ticks.next = now() }
	fetched(backup.QueueControl, 0)
	require.Zero(t, warned.Load(), "the process has just begun")
	later()
	fetched(backup.QueueVerify, 0)
	fetched(backup.QueueControl, 1)
	require.Zero(t, warned.Load(), "they have something to do")
	fetched(backup.QueueControl, 0)
	require.EqualValues(t, 1, warned.Load())
	fetched(backup.QueueControl, 0)
	require.EqualValues(t, 1, warned.Load(), "it has just warned")

	b.exec(`INSERT INTO {river_job} (kind, queue, args, max_attempts) VALUES ('backup_reconcile', 'backup', jsonb_build_object(), 1)`)
	later()
	fetched(backup.QueueControl, 0)
	require.EqualValues(t, 1, warned.Load())
	b.exec(`UPDATE {river_job} SET created_at = now() - interval '6 minutes'`)
	later()
	fetched(backup.QueueControl, 0)
	require.EqualValues(t, 2, warned.Load())
}

// River calls it, in a client that doesn't lead, too.
func TestMissingTicksAreLookedFor(t *testing.T) {
	b := setup(t, only(tiny{}.Export))
	var warned atomic.Int32
	client, w := b.riverClient(func(c *Config, rc *river.Config) {
		c.Logger, rc.LeaderElectionDisabled = slog.New(warnings{slog.DiscardHandler, &warned}), true
	})
	w.ticks.next = now()
	require.NoError(t, client.Start(b.ctx))
	b.eventually("a warning", 20*time.Second, func() bool { return warned.Load() == 1 })
	require.NoError(t, client.StopAndCancel(context.WithoutCancel(b.ctx)))
}
