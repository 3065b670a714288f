package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
)

type deleteArgs struct {
	backup.DeleteArgs

	retryAt
}

func (a deleteArgs) lease() (backupID, taskID string) { return a.BackupID, "" }

// deleteWorker deletes a backup: the manifest first, so that nothing claims to be
// a backup that isn't whole any more, the rows last, so that they tell of what is
// left. It looks for objects in the store, since the rows know only the last
// upload of each task. Whatever a crash leaves is found by the next attempt.
//
// It doesn't see what a worker that was given up on writes later: parts, which
// the store drops after a week, or a manifest, or the object of a task that had passed
// the commit gate. For these a tombstone is left, which retentionWorker looks at.
type deleteWorker struct{ base[deleteArgs] }

// deleteOutput is what operators see on the River job.
type deleteOutput struct {
	Objects int `json:"objects"` // that were removed, the manifest among them

	keys []string // theirs
}

// Work deletes.
func (d *deleteWorker) Work(ctx context.Context, job *river.Job[deleteArgs]) error {
	job.Args.retryAt = newRetryAt()
	if outdated(job.Args.Version) {
		return river.JobSnooze(untilUpdated)
	}
	return d.w.step(ctx, job.ID, job.Args.BackupID, job.Args.retryAt, d.w.ledger.ClaimDelete, d.delete)
}

func (d *deleteWorker) delete(ctx context.Context, work *backup.StepWork) error {
	d.w.passed("delete claim")
	rctx, cancel := d.w.bounded(ctx)
	defer cancel()
	targets, err := d.w.ledger.DeleteTargets(rctx, work)
	if err != nil {
		return inLedger(err)
	}
	found, err := d.count(ctx, work.Lease, targets.Prefixes)
	if err != nil {
		return err
	}
	var out deleteOutput
	for i, prefix := range targets.Prefixes {
		if err := d.manifests(ctx, prefix, found[i], &out); err != nil {
			return storeFailed(err)
		}
	}
	for _, prefix := range targets.Prefixes {
		if err := d.objects(ctx, prefix, &out); err != nil {
			return storeFailed(err)
		}
	}
	for _, key := range targets.Objects {
		// An earlier attempt may have died while the store removed it: what that left is
		// in no list.
		if !slices.Contains(out.keys, key) {
			if err := d.w.store.Delete(ctx, key); err != nil {
				return storeFailed(fmt.Errorf("delete object: %w", err))
			}
		}
		if err := d.w.store.Abort(ctx, key); err != nil {
			return storeFailed(fmt.Errorf("drop staged parts: %w", err))
		}
	}
	d.w.passed("delete objects")
	fctx, stop := d.w.bounded(ctx)
	defer stop()
	if err := d.w.ledger.FinishDelete(fctx, work.Lease); err != nil {
		return inLedger(err)
	}
	d.w.passed("delete rows")
	return river.RecordOutput(ctx, out)
}

// count notes what there is to remove, and returns the keys below each prefix.
func (d *deleteWorker) count(ctx context.Context, lease backup.Lease, prefixes []string) ([][]string, error) {
	found := make([][]string, len(prefixes))
	var objects, bytes int64
	for i, prefix := range prefixes {
		keys, size, err := d.list(ctx, prefix)
		if err != nil {
			return nil, storeFailed(err)
		}
		found[i], objects, bytes = keys, objects+int64(len(keys)), bytes+size
	}
	ctx, cancel := d.w.bounded(ctx)
	defer cancel()
	return found, inLedger(d.w.ledger.CountDeleted(ctx, lease, objects, bytes))
}

// manifests removes, of the keys, what lies right below the prefix. Objects lie a
// provider deeper.
func (d *deleteWorker) manifests(ctx context.Context, prefix string, keys []string, out *deleteOutput) error {
	keys = slices.DeleteFunc(keys, func(key string) bool { return strings.Contains(strings.TrimPrefix(key, prefix), "/") })
	if err := d.remove(ctx, keys, "delete one manifest", out); err != nil {
		return err
	}
	d.w.passed("delete manifest")
	return nil
}

func (d *deleteWorker) objects(ctx context.Context, prefix string, out *deleteOutput) error {
	keys, _, err := d.list(ctx, prefix)
	if err != nil {
		return err
	}
	return d.remove(ctx, keys, "delete one object", out)
}

// list reads the whole list before anything in it is removed: a store's pages
// may shift. A backup has a few objects.
func (d *deleteWorker) list(ctx context.Context, prefix string) (keys []string, bytes int64, err error) {
	for o, err := range d.w.store.List(ctx, prefix) {
		if err != nil {
			return nil, 0, fmt.Errorf("list objects: %w", err)
		}
		keys = append(keys, o.Key)
		bytes += o.Size
	}
	return keys, bytes, nil
}

func (d *deleteWorker) remove(ctx context.Context, keys []string, step string, out *deleteOutput) error {
	for _, key := range keys {
		if err := d.w.store.Delete(ctx, key); err != nil {
			return fmt.Errorf("delete object: %w", err)
		}
		out.Objects, out.keys = out.Objects+1, append(out.keys, key)
		d.w.passed(step)
	}
	return nil
}
