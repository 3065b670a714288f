package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	// retentionPairs are those of one look, whose plans are read together.
	retentionPairs = 100

	// retentionSpell is how long a job goes on before it gives its worker back and
	// takes another turn behind it.
	retentionSpell = 20 * time.Second

	// sweepFor is how long a pass looks at places of deleted backups. Where there are more,
	// the next pass over the pairs comes first.
	sweepFor = time.Hour

	// retentionTries is how often a pass is tried again in the hour.
	retentionTries = 3

	// retryDeletions bounds the deletions that a pass asks for again.
	retryDeletions = 1000

	// tombstonesAtOnce bounds a list of them, not how many are swept.
	tombstonesAtOnce = 100
)

// retentionOpen are the states of a pass that goes on: another one isn't begun.
var retentionOpen = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

func retainJob() (river.JobArgs, *river.InsertOpts) {
	return backup.RetentionArgs{}, &river.InsertOpts{
		Queue: backup.QueueControl, MaxAttempts: retentionTries, Priority: 4, // what makes backups goes first
		UniqueOpts: river.UniqueOpts{ByState: retentionOpen},
	}
}

// hourly is a schedule of full hours. An interval would begin with each new leader, and
// never end where leaders don't stay for an hour.
type hourly struct{}

func (hourly) Next(t time.Time) time.Time { return t.Truncate(time.Hour).Add(time.Hour) }

// retentionWorker removes what retention lets go of, and what was written to places of
// deleted backups. A pass over all pairs is one River job that snoozes between
// its spells, so that there is one pass at a time.
type retentionWorker struct {
	river.WorkerDefaults[backup.RetentionArgs]
	w *Workers
}

// retentionOutput is what operators see on the River job, and what its next spell goes
// on from.
type retentionOutput struct {
	Pairs   int          `json:"pairs"`   // that were looked at
	Removed int          `json:"removed"` // backups that are deleting since
	Left    int          `json:"left"`    // pairs that were locked, until the next pass
	Failed  int          `json:"failed"`  // looks at pairs, or at places of deleted backups, that had errors
	Orphans int          `json:"orphans"` // objects of deleted backups
	After   *backup.Pair `json:"after,omitempty"`
	Swept   *time.Time   `json:"swept,omitempty"` // since when the pass has been at places of deleted backups
}

// Timeout is more than a spell, the look that goes on when it ends, and one delete.
func (r *retentionWorker) Timeout(*river.Job[backup.RetentionArgs]) time.Duration {
	return rescueAfter
}

// Work goes on with the pass for a spell.
func (r *retentionWorker) Work(ctx context.Context, job *river.Job[backup.RetentionArgs]) error {
	var metadata struct{ Output retentionOutput }
	if err := json.Unmarshal(job.Metadata, &metadata); err != nil {
		metadata.Output = retentionOutput{} // somebody else's: begin at the beginning
	}
	out := &metadata.Output
	if out.After == nil {
		*out = retentionOutput{After: new(backup.Pair)}
	}
	more, err := r.spell(ctx, out, now().Add(retentionSpell))
	if !more {
		out.After, out.Swept = nil, nil
	}
	if recordErr := river.RecordOutput(ctx, out); recordErr != nil {
		return errors.Join(err, recordErr)
	}
	switch {
	case err != nil:
		return err // the next attempt goes on from here
	case more:
		return river.JobSnooze(0)
	case out.Failed > 0:
		return errSomePairs
	}
	return nil
}

var errSomePairs = errors.New("retention failed for some pairs or deleted backups: the worker's log says why")

// spell goes on until end, and says whether there is more to do.
func (r *retentionWorker) spell(ctx context.Context, out *retentionOutput, end time.Time) (more bool, err error) {
	for {
		done, err := r.w.ledger.ApplyRetention(ctx, *out.After, retentionPairs)
		out.Pairs, out.Removed, out.Left = out.Pairs+done.Pairs, out.Removed+done.Removed, out.Left+done.Left
		r.w.passed("retention")
		switch {
		case err != nil && (ctx.Err() != nil || done.Pairs == 0):
			return true, err
		case err != nil: // the others were looked at
			out.Failed++
			r.w.cfg.Logger.ErrorContext(ctx, "retention", "error", err)
		}
		if done.Next == nil {
			return r.end(ctx, out, end)
		}
		if out.After = done.Next; now().After(end) {
			return true, nil
		}
	}
}

// end does what follows on the last pair.
func (r *retentionWorker) end(ctx context.Context, out *retentionOutput, end time.Time) (more bool, err error) {
	if out.Swept == nil {
		if _, err := r.w.ledger.RetryDeletions(ctx, retryDeletions); err != nil {
			return true, err
		}
		began := now()
		out.Swept = &began
	}
	if more, err = r.sweep(ctx, out, end); err == nil && now().Sub(*out.Swept) > sweepFor {
		more = false
	}
	return more, err
}

// sweep removes what is at tombstones that are due.
func (r *retentionWorker) sweep(ctx context.Context, out *retentionOutput, end time.Time) (more bool, err error) {
	for {
		due, err := r.w.ledger.DueTombstones(ctx, tombstonesAtOnce)
		if err != nil || len(due) == 0 {
			return err != nil, err
		}
		for _, t := range due {
			n, err := r.bury(ctx, t)
			if out.Orphans += n; err != nil {
				if ctx.Err() != nil || databaseAway(err) {
					return true, err
				}
				// What can't be removed there doesn't keep the other places.
				out.Failed++
				r.w.cfg.Logger.ErrorContext(ctx, "remove what was written to a deleted backup's place", "backup", t.BackupID, "error", err)
				if err := r.w.ledger.PostponeTombstone(ctx, t); err != nil {
					return true, err
				}
			}
			if now().After(end) {
				return true, nil
			}
		}
	}
}

// bury removes what is at one tombstone: manifests first, as everywhere.
func (r *retentionWorker) bury(ctx context.Context, t backup.Tombstone) (int, error) {
	d := &deleteWorker{base[deleteArgs]{w: r.w}}
	var out deleteOutput
	keys, _, err := d.list(ctx, t.Prefix)
	if err != nil {
		return 0, err
	}
	if len(keys) > 0 { // hardly ever
		if err := d.manifests(ctx, t.Prefix, keys, &out); err != nil {
			return out.Objects, err
		}
		if err := d.objects(ctx, t.Prefix, &out); err != nil {
			return out.Objects, err
		}
		r.w.cfg.Logger.WarnContext(ctx, "a deleted backup's objects were written again, and removed", "backup", t.BackupID, "objects", out.Objects)
	}
	return out.Objects, inLedger(r.w.ledger.SweptTombstone(ctx, t))
}
