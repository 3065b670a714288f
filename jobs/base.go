package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/sitebackup/sitebackup/backup"
)

// running marks the River jobs that this process's executor runs. Only the
// executor calls a worker's middleware, and the rescuer doesn't: that is how
// Timeout tells which of the two asks.
type running struct{ jobs sync.Map }

func (r *running) middleware() rivertype.WorkerMiddleware {
	return river.WorkerMiddlewareFunc(func(ctx context.Context, job *rivertype.JobRow, inner func(context.Context) error) error {
		r.jobs.Store(job, true)
		defer r.jobs.Delete(job)
		return inner(ctx)
	})
}

func (r *running) has(job *rivertype.JobRow) bool {
	_, ok := r.jobs.Load(job)
	return ok
}

// subject is what the args of our jobs have in common.
type subject interface {
	river.JobArgs
	lease() (backupID, taskID string)
	retry() time.Time
}

// retryAt is what Work tells NextRetry, which River calls with the same
// *river.Job: when the next attempt is. River doesn't store it.
type retryAt struct{ at *time.Time }

// unexpected is the wait behind an error of which nothing was recorded: the
// database failed, as a rule.
const unexpected = 5 * time.Second

func newRetryAt() retryAt { return retryAt{new(time.Time)} }

func (r retryAt) retry() time.Time {
	switch {
	case r.at == nil: // Work wasn't called: the job is being rescued
		return now()
	case r.at.IsZero(): // Work decided nothing
		return now().Add(unexpected)
	default:
		return *r.at
	}
}

// base is what the workers have in common: when a job is tried again, and when
// it may be rescued.
type base[T subject] struct {
	river.WorkerDefaults[T]
	w *Workers
}

// Middleware marks the job as run by this process.
func (b base[T]) Middleware(*rivertype.JobRow) []rivertype.WorkerMiddleware {
	return []rivertype.WorkerMiddleware{b.w.running.middleware()}
}

// NextRetry is what the attempt that failed decided, soon where it couldn't, and
// now for a job that was rescued. It is never in the past: River would follow
// its own policy then, which reaches hours.
func (b base[T]) NextRetry(job *river.Job[T]) time.Time {
	soonest := now().Add(time.Second)
	if at := job.Args.retry(); at.After(soonest) {
		return at
	}
	return soonest
}

// leaseQuery bounds the question whether a lease is alive.
const leaseQuery = 5 * time.Second

// Timeout is none for the executor: a live task may run as long as it likes.
// The rescuer gets none either as long as the lease is alive, or can't be read,
// and "at once" when it isn't.
func (b base[T]) Timeout(job *river.Job[T]) time.Duration {
	if b.w.running.has(job.JobRow) {
		return -1
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaseQuery)
	defer cancel()
	backupID, taskID := job.Args.lease()
	abandoned, err := b.w.ledger.Abandoned(ctx, backupID, taskID)
	if err != nil || !abandoned {
		return -1
	}
	return time.Nanosecond
}

// unclaimed maps an error of a claim to what River is told.
func (w *Workers) unclaimed(ctx context.Context, err error) error {
	var idle *backup.IdleError
	var leased *backup.LeasedError
	var early *backup.EarlyError
	switch {
	case errors.As(err, &idle) && idle.Done:
		return nil
	case errors.As(err, &idle):
		return river.JobCancel(idle)
	case errors.As(err, &leased):
		return river.JobSnooze(leased.Remaining + time.Second)
	case errors.As(err, &early):
		if err := river.RecordOutput(ctx, waitOutput{Waits: early.Error()}); err != nil {
			return err
		}
		return river.JobSnooze(untilDue(early))
	default:
		return err
	}
}

// untilDue is how long to snooze. River adds it to the clock of this process, and compares
// the sum with the database's: where the two differ, what remains by the database's would
// bring the job back too soon, again and again, or too late.
func untilDue(early *backup.EarlyError) time.Duration { return max(early.At.Sub(now()), 0) }

// outdated reports whether the args are a later release's. That one's workers
// run beside ours, and take the job when it comes up again.
func outdated(version int) bool { return version > backup.ArgsVersion }

// untilUpdated is how long a job that only a later release understands waits.
const untilUpdated = time.Minute

// guarded runs fn and makes a panic of it, which is a provider's as a rule, a
// failure that counts.
func (w *Workers) guarded(ctx context.Context, fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.cfg.Logger.ErrorContext(ctx, "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = backup.Retryable(errors.New("the attempt panicked"), "this is a bug: the worker's log has the stack")
		}
	}()
	return fn()
}

// bounded is for what a worker asks of the database while it holds a lease. A connection
// that the network has dropped in silence would else hold it up until TCP gives up, for
// a quarter of an hour, under a lease that other connections renew.
func (w *Workers) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, w.cfg.LeaseDuration)
}

// bookkeeping bounds what is written after a job's context has ended.
const bookkeeping = 10 * time.Second

func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), bookkeeping)
}

// leaseLost reports whether an attempt ended because its lease did.
func leaseLost(leased context.Context, err error) bool {
	return errors.Is(err, backup.ErrLeaseLost) || errors.Is(context.Cause(leased), backup.ErrLeaseLost)
}

// interrupted handles the end of an attempt that didn't fail by itself: the
// lease is lost, the job was canceled in River, or the process stops. It
// returns false for any other error. release gives the lease back.
func (w *Workers) interrupted(
	ctx, leased context.Context, err error, backupID string, jobID int64, release func(context.Context) error,
) (bool, error) {
	if leaseLost(leased, err) {
		w.stats.leaseLost()
		// The job's row may be another worker's by now. Of all that can be told to
		// River a snooze does it the least harm.
		return true, river.JobSnooze(w.cfg.LeaseDuration)
	}
	if ctx.Err() == nil {
		return false, nil
	}
	cause := context.Cause(ctx)
	bg, cancel := detached(ctx)
	defer cancel()
	if errors.Is(cause, rivertype.ErrJobCancelledRemotely) {
		w.canceledInRiver(bg, backupID, jobID)
		// What is committing goes on in another job. If the task is canceled there is
		// nothing to release.
		w.release(ctx, backupID, release)
		return true, cause
	}
	w.release(ctx, backupID, release)
	return true, fmt.Errorf("handed over: %w", ctx.Err())
}

const (
	insistTries = 5
	insistPause = 300 * time.Millisecond
)

// insist writes to the database how an attempt ended. A connection that has died is
// found out by the first try, and the next one has another.
func insist(ctx context.Context, write func(context.Context) error) error {
	err := write(ctx)
	for try := 1; try < insistTries && backup.IsUnavailable(err); try++ {
		select {
		case <-time.After(insistPause):
		case <-ctx.Done():
		}
		err = write(ctx)
	}
	return err
}

// release gives a lease back, so that nobody has to wait for its end.
func (w *Workers) release(ctx context.Context, backupID string, release func(context.Context) error) {
	ctx, cancel := detached(ctx)
	defer cancel()
	if err := insist(ctx, release); err != nil && !errors.Is(err, backup.ErrLeaseLost) {
		w.cfg.Logger.WarnContext(ctx, "release lease", "backup", backupID, "error", err)
	}
}

// canceledInRiver cancels the backup whose River job somebody canceled, unless
// it was our own Cancel that did so.
func (w *Workers) canceledInRiver(ctx context.Context, backupID string, jobID int64) {
	if err := w.ledger.CancelByJob(ctx, backupID, jobID); err != nil {
		// The reconciler sees the canceled job and tries again.
		w.cfg.Logger.WarnContext(ctx, "cancel backup", "backup", backupID, "error", err)
	}
}

// failed tells River of an attempt that failed: when the next one is, or that
// there is none.
func failed(ctx context.Context, cause *backup.ClassError, out backup.Outcome, r retryAt) error {
	err := error(&lineError{cause})
	if out.Final {
		return river.JobCancel(err)
	}
	if cause.Class == backup.ClassRetryAfter { // it uses up no attempt, of River's neither
		if err := river.RecordOutput(ctx, waitOutput{Waits: err.Error()}); err != nil {
			return err
		}
		return river.JobSnooze(out.Delay)
	}
	*r.at = now().Add(out.Delay)
	return err
}

// lineError is an error as operators see it in River UI: one line, and the
// hint.
type lineError struct{ cause *backup.ClassError }

func (e *lineError) Error() string {
	f := e.cause.Failure()
	s := fmt.Sprintf("%s: %s", f.Class, f.Message)
	if f.Hint != "" {
		s += " (hint: " + f.Hint + ")"
	}
	return s
}

func (e *lineError) Unwrap() error { return e.cause }
