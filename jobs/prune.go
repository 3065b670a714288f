package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	// pruneLimit bounds the rows of one transaction, pruneFor the time of one job. What
	// is left over waits for the next one, in an hour.
	pruneLimit = 5000
	pruneFor   = 5 * time.Minute
)

func pruneJob() (river.JobArgs, *river.InsertOpts) {
	return backup.PruneArgs{}, &river.InsertOpts{Queue: backup.QueueControl, MaxAttempts: 1, Priority: 4} // what makes backups goes first
}

// pruneWorker removes what has been kept for long enough.
type pruneWorker struct {
	river.WorkerDefaults[backup.PruneArgs]
	w *Workers
}

// Timeout is more than a job takes that has to end by itself.
func (p *pruneWorker) Timeout(*river.Job[backup.PruneArgs]) time.Duration {
	return pruneFor + time.Minute
}

// Work prunes until nothing is left, or for long enough. What one kind of rows fails with
// is told when the others are done.
func (p *pruneWorker) Work(ctx context.Context, _ *river.Job[backup.PruneArgs]) error {
	var sum backup.Pruned
	for until := now().Add(pruneFor); ; {
		done, more, err := p.w.ledger.Prune(ctx, pruneLimit)
		sum.Add(done)
		p.w.passed("prune")
		if !more || ctx.Err() != nil || now().After(until) {
			return errors.Join(err, river.RecordOutput(ctx, sum))
		}
	}
}
