package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	// tickEvery is how long after its time a backup is started at most, while there
	// is a leader.
	tickEvery = 10 * time.Second

	// tickLimit bounds the schedules of one transaction, tickTries the transactions of
	// one tick. What is left over is due at the next one.
	tickLimit = 500
	tickTries = 100
)

// scheduleWorker starts what is due. River's periodic jobs only wake it: they live in
// the leader's memory and forget what was missed. When each schedule is due is in its
// row.
type scheduleWorker struct {
	river.WorkerDefaults[backup.ScheduleArgs]
	w *Workers
}

// Timeout is more than a tick takes that finds a great deal.
func (s *scheduleWorker) Timeout(*river.Job[backup.ScheduleArgs]) time.Duration {
	return 30 * time.Second
}

// Work ticks until nothing is due.
func (s *scheduleWorker) Work(ctx context.Context, _ *river.Job[backup.ScheduleArgs]) error {
	var sum backup.Ticked
	for range tickTries {
		done, err := s.w.ledger.TickSchedules(ctx, tickLimit)
		if err != nil {
			return err
		}
		sum.Started, sum.Queued, sum.Skipped = sum.Started+done.Started, sum.Queued+done.Queued, sum.Skipped+done.Skipped
		s.w.passed("tick")
		if !done.More {
			break
		}
	}
	return river.RecordOutput(ctx, sum)
}
