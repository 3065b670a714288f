package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

const (
	// eraseTimeout bounds a run, and eraseFor is when it ends by itself. They are shorter
	// than rescueAfter, so that runs aren't doubled as a rule. One that is doubled
	// does no harm: only the later one counts.
	eraseTimeout = 40 * time.Second
	eraseFor     = 20 * time.Second

	// eraseLimit bounds how many backups, objects or River jobs are removed between two
	// looks at the clock; a batch of objects is stored in the erasure's row.
	eraseLimit = 200

	// eraseAgain is the wait behind an error: an erasure is never given up.
	eraseAgain = 30 * time.Second

	maxEraseWait = 30 * time.Second
)

// eraseWorker removes all that there is of a user or a site. Each run looks what is
// left, and does a bounded part of it: backups that are open are canceled, those that
// have ended are deleted, by the workers that do so anyway; when no row is left
// the store is searched, and then River's jobs. A crash anywhere does no harm.
//
// River is told of no error: it would keep it, and the names in it, longer than the
// erasure takes. It is in the erasure's row meanwhile.
type eraseWorker struct {
	river.WorkerDefaults[backup.EraseArgs]
	w *Workers
}

// Middleware marks the job as run by this process.
func (e *eraseWorker) Middleware(*rivertype.JobRow) []rivertype.WorkerMiddleware {
	return []rivertype.WorkerMiddleware{e.w.running.middleware()}
}

// Timeout ends a run that hangs, and lets the rescuer have the job as soon as it asks.
func (e *eraseWorker) Timeout(job *river.Job[backup.EraseArgs]) time.Duration {
	if e.w.running.has(job.JobRow) {
		return eraseTimeout
	}
	return time.Nanosecond
}

// NextRetry is soon.
func (e *eraseWorker) NextRetry(*river.Job[backup.EraseArgs]) time.Time {
	return now().Add(2 * time.Second)
}

// errEraseFailed stands for errors that can't be recorded.
var errEraseFailed = errors.New("the erasure's row can't be read or written: look at the database")

// Work does a part of the erasure.
func (e *eraseWorker) Work(ctx context.Context, job *river.Job[backup.EraseArgs]) error {
	if outdated(job.Args.Version) {
		return river.JobSnooze(untilUpdated)
	}
	work, err := e.w.ledger.BeginErasure(ctx, job.Args.ErasureID, job.ID)
	if err != nil {
		return e.w.unclaimed(ctx, err)
	}
	e.w.passed("erase claim")
	run := &erasureRun{w: e.w, work: work, until: now().Add(eraseFor)}
	err = e.w.guarded(ctx, func() error { return run.erase(ctx) })
	switch {
	case ctx.Err() != nil:
		bg, cancel := detached(ctx)
		defer cancel()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = nil // the process stops
		}
		_ = e.w.ledger.NoteErasureError(bg, work, err) // and what is left of the batch, if that can be written
		return fmt.Errorf("handed over: %w", ctx.Err())
	case errors.Is(err, backup.ErrLeaseLost): // a later run has it
		return river.JobSnooze(maxEraseWait)
	case err == nil && run.finished:
		return nil
	}
	wait := run.wait()
	if err != nil {
		wait = eraseAgain
		if throttled := new(blob.ThrottledError); errors.As(err, &throttled) {
			wait = max(wait, throttled.After)
		}
	}
	if err := e.w.ledger.NoteErasureError(ctx, work, err); err != nil && !errors.Is(err, backup.ErrLeaseLost) {
		return errEraseFailed
	}
	return river.JobSnooze(wait)
}

// erasureRun is one run.
type erasureRun struct {
	w        *Workers
	work     *backup.ErasureWork
	until    time.Time
	busy     bool // there is more to do at once
	finished bool
}

// wait is how long to wait for others: the longer the longer it has lasted.
func (r *erasureRun) wait() time.Duration {
	if r.busy {
		return time.Second
	}
	return min(max(r.work.Age/10, time.Second), maxEraseWait)
}

// late notes whether the run has to end, with more to do.
func (r *erasureRun) late() bool {
	r.busy = now().After(r.until)
	return r.busy
}

func (r *erasureRun) erase(ctx context.Context) error {
	for _, step := range []func(context.Context) (done bool, err error){r.rows, r.batch, r.objects, r.jobs} {
		if done, err := step(ctx); err != nil || !done {
			return err
		}
	}
	finished, err := r.w.ledger.FinishErasure(ctx, r.work)
	r.finished, r.busy = finished, !finished
	r.w.passed("erase finish")
	return err
}

// rows is done when no backup is left. Others delete them.
func (r *erasureRun) rows(ctx context.Context) (done bool, err error) {
	for {
		left, more, err := r.w.ledger.EraseRows(ctx, r.work, eraseLimit)
		if err != nil {
			return false, err
		}
		r.w.passed("erase rows")
		if !more || r.late() {
			return !left, nil
		}
	}
}

// batch removes what was counted, by an earlier run or by this one. What is left over
// when the store fails or time is up is stored with the error: a run that began with
// the whole batch again might never come to its end. One that can't be removed doesn't
// keep the others.
func (r *erasureRun) batch(ctx context.Context) (done bool, err error) {
	keys := r.work.Batch
	var kept []string
	for i, key := range keys {
		r.work.Batch = append(slices.Clone(kept), keys[i:]...)
		if r.late() {
			return false, err
		}
		failed := r.w.store.Delete(ctx, key)
		if failed == nil {
			r.w.passed("erase one object")
			continue
		}
		err = fmt.Errorf("delete object: %w", failed)
		if throttled := new(blob.ThrottledError); ctx.Err() != nil || errors.As(failed, &throttled) {
			return false, err
		}
		kept = append(kept, key)
	}
	r.work.Batch = kept
	return err == nil, err
}

// objects removes what no row tells of.
func (r *erasureRun) objects(ctx context.Context) (done bool, err error) {
	for !r.late() {
		keys, bytes, err := r.orphans(ctx)
		if err != nil {
			return false, err
		}
		if len(keys) == 0 {
			return true, nil
		}
		if err := r.w.ledger.CountErased(ctx, r.work, keys, bytes); err != nil {
			return false, err
		}
		r.w.passed("erase batch")
		if done, err := r.batch(ctx); err != nil || !done {
			return false, err
		}
	}
	return false, nil
}

// orphans are up to eraseLimit objects whose backups have no row. The store is asked
// first: of a backup that is started now there is a row before there is an object.
func (r *erasureRun) orphans(ctx context.Context) (keys []string, bytes int64, err error) {
	for _, prefix := range r.work.Prefixes {
		keys, bytes, err = r.orphansBelow(ctx, prefix)
		if err != nil || len(keys) > 0 {
			break
		}
	}
	return keys, bytes, err
}

func (r *erasureRun) orphansBelow(ctx context.Context, prefix string) (keys []string, bytes int64, err error) {
	var page []*blob.Object
	take := func() error {
		found, size, err := r.withoutRow(ctx, prefix, page)
		keys, bytes, page = append(keys, found...), bytes+size, page[:0]
		return err
	}
	for o, err := range r.w.store.List(ctx, prefix) {
		if err != nil {
			return nil, 0, fmt.Errorf("list objects: %w", err)
		}
		if page = append(page, o); len(page) < eraseLimit {
			continue
		}
		if err := take(); err != nil || len(keys) > 0 {
			return keys, bytes, err
		}
	}
	err = take()
	return keys, bytes, err
}

func (r *erasureRun) withoutRow(ctx context.Context, prefix string, page []*blob.Object) (keys []string, bytes int64, err error) {
	var ids []string
	for _, o := range page {
		if id, ok := r.work.BackupID(prefix, o.Key); ok {
			ids = append(ids, id)
		}
	}
	have, err := r.w.ledger.HaveRows(ctx, ids)
	if err != nil {
		return nil, 0, err
	}
	for _, o := range page {
		if id, ok := r.work.BackupID(prefix, o.Key); ok && !have[id] {
			keys, bytes = append(keys, o.Key), bytes+o.Size
		}
	}
	return keys, bytes, nil
}

// jobs is done when River has none that names the tenant: the last ones end when
// they have told River of the rows they removed.
func (r *erasureRun) jobs(ctx context.Context) (done bool, err error) {
	for {
		removed, left, err := r.w.ledger.EraseJobs(ctx, r.work, eraseLimit)
		if err != nil {
			return false, err
		}
		r.w.passed("erase jobs")
		if removed < eraseLimit || r.late() {
			return !left, nil
		}
	}
}
