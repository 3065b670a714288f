package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	// freshnessEvery is how long an alert may be late while there is a leader.
	freshnessEvery = time.Minute

	// freshnessLimit bounds the schedules of one transaction, freshnessTries the
	// transactions of one run.
	freshnessLimit = 500
	freshnessTries = 20

	// tellFor bounds how long one run calls Config.OnEvent, and tellMost how often.
	tellFor  = 25 * time.Second
	tellMost = 1000
)

// freshnessWorker finds schedules whose backups have become too old, and tells the
// embedding program.
type freshnessWorker struct {
	river.WorkerDefaults[backup.FreshnessArgs]
	w *Workers
}

// Timeout is less than the time between two runs.
func (f *freshnessWorker) Timeout(*river.Job[backup.FreshnessArgs]) time.Duration {
	return freshnessEvery * 3 / 4
}

// freshnessOutput is what an operator sees on the job.
type freshnessOutput struct {
	backup.Rechecked
	Told backup.Delivered `json:"told"`
}

// Work looks at all whose time has come, and tells what is new.
func (f *freshnessWorker) Work(ctx context.Context, _ *river.Job[backup.FreshnessArgs]) error {
	var out freshnessOutput
	for range freshnessTries {
		done, err := f.w.ledger.CheckFreshness(ctx, freshnessLimit)
		if err != nil {
			return err
		}
		out.Stale, out.Fresh = out.Stale+done.Stale, out.Fresh+done.Fresh
		if !done.More {
			break
		}
	}
	bounded, cancel := context.WithTimeout(ctx, tellFor)
	defer cancel()
	told, err := f.w.ledger.DeliverEvents(bounded, tellMost)
	if err != nil && bounded.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if out.Told = told; out != (freshnessOutput{}) {
		f.w.cfg.Logger.InfoContext(ctx, "freshness of schedules", "stale", out.Stale, "fresh", out.Fresh, "told", told.Events)
	}
	return river.RecordOutput(ctx, out)
}
