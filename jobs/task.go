package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

type taskArgs struct {
	backup.TaskArgs

	retryAt
}

func (a taskArgs) lease() (backupID, taskID string) { return a.BackupID, a.TaskID }

// taskWorker runs the tasks of one provider.
type taskWorker struct {
	base[taskArgs]
	provider *backup.ProviderConfig
}

// taskOutput is what operators see on the River job.
type taskOutput struct {
	Bytes  int64        `json:"bytes"`
	Parts  int          `json:"parts"`
	Object string       `json:"object"` // its key in the store
	SHA256 string       `json:"sha256"`
	Proof  backup.Proof `json:"proof"`
}

// waitOutput is what operators see on a River job that waits because the source or
// the store asked for that, or that found no room: the task gets another one then.
type waitOutput struct {
	Waits string `json:"waits"`
}

// Work makes one attempt at a task.
func (t *taskWorker) Work(ctx context.Context, job *river.Job[taskArgs]) error {
	job.Args.retryAt = newRetryAt()
	if outdated(job.Args.Version) {
		return river.JobSnooze(untilUpdated)
	}
	if !t.w.enter(ctx, job.Priority) {
		return river.JobSnooze(processFull)
	}
	defer t.w.leave()
	claimedAt := now()
	cctx, cancel := context.WithTimeout(ctx, t.w.cfg.LeaseDuration)
	defer cancel()
	work, err := t.w.ledger.ClaimTask(cctx, job.Args.TaskArgs, t.w.claim(job.ID))
	if waits := new(backup.WaitError); errors.As(err, &waits) {
		t.w.admit(ctx) // room that was made while this one was being turned away
		return river.RecordOutput(ctx, waitOutput{Waits: waits.Reason})
	}
	if err != nil {
		return t.w.unclaimed(ctx, err)
	}
	defer t.w.admit(ctx)
	leased, held := t.w.heart.hold(ctx, work.Lease, claimedAt)
	defer t.w.heart.drop(held)

	a := &attempt{w: t.w, provider: t.provider, work: work, held: held, jobID: job.ID, outcome: OutcomeHandedOver}
	t.w.stats.began(t.provider.Name)
	defer func() { a.report(ctx, claimedAt) }()
	var out *taskOutput
	err = t.w.guarded(ctx, func() (err error) {
		out, err = a.run(leased)
		return err
	})
	if err == nil {
		a.outcome = OutcomeDone
		return river.RecordOutput(ctx, out)
	}
	if leaseLost(leased, err) {
		a.outcome = OutcomeLeaseLost
	}
	t.w.withdraw(ctx, leased, err, work.BackupID, work.Task.ObjectKey)
	release := func(ctx context.Context) error { return t.w.ledger.ReleaseTask(ctx, held.last()) }
	if worthless(err) && !errors.Is(err, context.Canceled) { // else the stop may have brought it about
		cause := backup.Classify(err)
		release = func(ctx context.Context) error {
			_, lost := t.w.ledger.LoseTask(ctx, held.last(), cause, t.policy())
			return lost
		}
	}
	if ok, err := t.w.interrupted(ctx, leased, err, work.BackupID, job.ID, release); ok {
		return err
	}
	if databaseAway(err) {
		t.w.release(ctx, work.BackupID, release)
		return fmt.Errorf("handed over: %w", err)
	}
	return t.fail(leased, a, err, job.Args.retryAt)
}

// worthless reports whether an attempt ended because what is stored isn't to be gone
// on from. That has to be written down, whatever else happens just then: nobody who
// goes on would find it out again.
func worthless(err error) bool {
	return errors.Is(err, errContentLost) || errors.Is(err, errNotProven) || errors.Is(err, backup.ErrRefuted)
}

func (t *taskWorker) policy() backup.RetryPolicy {
	return backup.RetryPolicy{MaxAttempts: t.provider.MaxAttempts, RetryFor: t.provider.RetryFor}
}

// fail records an attempt that failed.
func (t *taskWorker) fail(ctx context.Context, a *attempt, err error, retry retryAt) error {
	cause := backup.Classify(err)
	record := t.w.ledger.FailTask
	if worthless(err) {
		record = t.w.ledger.LoseTask
	}
	bctx, cancel := detached(ctx) // a process that stops now still says how it ended
	defer cancel()
	var out backup.Outcome
	rerr := insist(bctx, func(ctx context.Context) (err error) {
		out, err = record(ctx, a.held.last(), cause, t.policy())
		return err
	})
	if errors.Is(rerr, backup.ErrLeaseLost) {
		a.outcome = OutcomeLeaseLost
		t.w.stats.leaseLost()
		return river.JobSnooze(t.w.cfg.LeaseDuration)
	}
	if rerr != nil {
		return fmt.Errorf("record failure: %w", rerr)
	}
	a.failed(cause.Class, out.Final)
	return failed(ctx, cause, out, retry)
}

// ledgerError is an error of the database in the middle of an attempt. If the
// database can't be reached, or was restarted, the attempt is handed over: it
// isn't the source's failure, nor the store's.
type ledgerError struct{ error }

func (e *ledgerError) Unwrap() error { return e.error }

// inLedger marks what a verb of the ledger returned, unless the verb has classed it.
func inLedger(err error) error {
	var classed *backup.ClassError
	if err == nil || errors.As(err, &classed) {
		return err
	}
	return &ledgerError{err}
}

// databaseAway reports whether an attempt ended because the database did.
func databaseAway(err error) bool {
	var ledger *ledgerError
	return errors.As(err, &ledger) && backup.IsUnavailable(ledger.error)
}

// errContentLost means that a task which has passed the commit gate can't be
// committed: neither its object nor its parts are in the store, or something
// else is at its key.
var errContentLost = errors.New("the staged export is lost")

// run brings a task from where it stands to done.
func (a *attempt) run(ctx context.Context) (*taskOutput, error) {
	content := a.work.Content()
	if a.work.Task.State != backup.TaskCommitting {
		var err error
		if content, err = a.export(ctx); err != nil {
			return nil, err
		}
		a.w.passed("gate")
	} else {
		a.proof = a.work.Task.Proof
	}
	if err := a.commit(ctx, content); err != nil {
		return nil, err
	}
	a.w.passed("commit")
	bctx, cancel := a.w.bounded(ctx)
	defer cancel()
	if err := a.w.ledger.FinishTask(bctx, a.work.Lease); err != nil {
		return nil, inLedger(err)
	}
	a.w.passed("task")
	return &taskOutput{
		Bytes: content.Size, Parts: len(content.Parts), Object: a.work.Task.ObjectKey,
		SHA256: fmt.Sprintf("%x", content.SHA256), Proof: a.proof,
	}, nil
}

// commit makes the object visible: exactly what passed the gate.
func (a *attempt) commit(ctx context.Context, content *blob.Content) error {
	task := a.work.Task
	err := blob.Commit(ctx, a.w.store, task.ObjectKey, a.work.UploadID, content, task.ContentType)
	var mismatch *blob.MismatchError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, blob.ErrPartMissing), errors.Is(err, blob.ErrConflict): // before MismatchError, which a conflict may wrap
		return backup.Retryable(fmt.Errorf("%w: %w", errContentLost, err), "the export begins again under a new name")
	case errors.As(err, &mismatch):
		return backup.Permanent(err, "the store doesn't hold what was sent to it; look at it before anything else")
	default:
		return storeFailed(fmt.Errorf("commit object: %w", err))
	}
}
