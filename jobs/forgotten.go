package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// forgottenFor bounds a look through the store, of which there is one a day at most. One that
// was cut off begins anew on the next day.
const forgottenFor = 12 * time.Hour

func forgottenJob() (river.JobArgs, *river.InsertOpts) {
	return backup.ForgottenArgs{}, &river.InsertOpts{
		Queue: backup.QueueVerify, MaxAttempts: 1, Priority: 4, // it is long, and what makes backups isn't held up
		UniqueOpts: river.UniqueOpts{ByState: retentionOpen},
	}
}

// forgottenWorker removes what was written to the places of erased backups: a worker that
// slept through an erasure takes that back itself, unless it is killed then.
type forgottenWorker struct {
	river.WorkerDefaults[backup.ForgottenArgs]
	w *Workers
}

// Timeout is less than the time between two looks.
func (f *forgottenWorker) Timeout(*river.Job[backup.ForgottenArgs]) time.Duration {
	return forgottenFor
}

// forgottenOutput is what operators see on the River job.
type forgottenOutput struct {
	Orphans int `json:"orphans"` // objects that were removed
}

// Work looks through the store, if anything is due.
func (f *forgottenWorker) Work(ctx context.Context, _ *river.Job[backup.ForgottenArgs]) error {
	due, err := f.w.ledger.DueForgotten(ctx)
	if err != nil {
		return err
	}
	var out forgottenOutput
	var failed error
	for _, d := range due {
		n, err := f.bury(ctx, d)
		if out.Orphans += n; err == nil {
			continue
		}
		if failed = err; ctx.Err() != nil {
			return err
		}
	}
	return errors.Join(failed, river.RecordOutput(ctx, out))
}

// errForgotten stands for errors with keys, and so names, in them: the worker's log has them.
var errForgotten = errors.New("what was written to an erased backup's place can't be removed: the worker's log says why")

// bury reads the whole list before anything in it is removed: a store's pages may shift.
// What can't be removed doesn't keep the others, and is looked for again on the next night.
func (f *forgottenWorker) bury(ctx context.Context, d *backup.Forgotten) (removed int, err error) {
	var keys, ids []string
	for o, err := range f.w.store.List(ctx, d.Prefix) {
		if err != nil {
			return 0, fmt.Errorf("list objects: %w", err)
		}
		if id, ok := d.Has(o.Key); ok {
			keys, ids = append(keys, o.Key), append(ids, id)
		}
	}
	have, err := f.w.ledger.HaveRows(ctx, ids) // a database that was restored
	if err != nil {
		return 0, err
	}
	manifest := func(key string) bool { return strings.Contains(key[strings.LastIndex(key, "/"):], "manifest") }
	slices.SortStableFunc(keys, func(a, b string) int { // manifests first, as everywhere
		switch {
		case manifest(a) == manifest(b):
			return 0
		case manifest(a):
			return -1
		}
		return 1
	})
	stay := 0
	for _, key := range keys {
		if id, _ := d.Has(key); have[id] {
			continue
		}
		if err := f.w.store.Delete(ctx, key); err != nil {
			f.w.cfg.Logger.ErrorContext(ctx, "remove what was written to an erased backup's place", "error", err)
			if throttled := new(blob.ThrottledError); ctx.Err() != nil || errors.As(err, &throttled) {
				return removed, errForgotten
			}
			stay++
			continue
		}
		removed++
	}
	if removed > 0 {
		f.w.cfg.Logger.WarnContext(ctx, "an erased backup's objects were written again, and removed", "objects", removed)
	}
	if stay > 0 {
		return removed, errForgotten
	}
	return removed, f.w.ledger.SweptForgotten(ctx, d)
}
