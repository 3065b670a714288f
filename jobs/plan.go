package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
)

type planArgs struct {
	backup.PlanArgs

	retryAt
	bad error // the args aren't what they should be
}

func (a planArgs) lease() (backupID, taskID string) { return a.BackupID, "" }

// UnmarshalJSON keeps its error for Work, which cancels the job with it: anybody
// may insert one, and River would try again.
func (a *planArgs) UnmarshalJSON(data []byte) error {
	a.bad = json.Unmarshal(data, &a.PlanArgs)
	return nil
}

// planWorker plans a backup: it resolves the providers and makes their tasks.
type planWorker struct{ base[planArgs] }

// Work plans. A job that somebody else's River client inserted makes its backup
// first.
func (p *planWorker) Work(ctx context.Context, job *river.Job[planArgs]) error {
	job.Args.retryAt = newRetryAt()
	if job.Args.bad != nil {
		return river.JobCancel(fmt.Errorf("bad args: %w", job.Args.bad))
	}
	if outdated(job.Args.Version) {
		return river.JobSnooze(untilUpdated)
	}
	id := job.Args.BackupID
	if id == "" {
		b, mine, err := p.w.ledger.Adopt(ctx, job.ID, job.CreatedAt, job.Args.PlanArgs)
		if bad := new(backup.FieldError); errors.As(err, &bad) {
			return river.JobCancel(fmt.Errorf("bad args: %w", bad))
		}
		if erasing := new(backup.ErasingError); errors.As(err, &erasing) {
			return river.JobCancel(erasing)
		}
		if err != nil {
			return err
		}
		id = b.ID
		if err := river.RecordOutput(ctx, planOutput{BackupID: id}); err != nil || !mine {
			return err // delivered twice: the output says whose it is
		}
	}
	return p.w.step(ctx, job.ID, id, job.Args.retryAt, p.w.ledger.ClaimPlan, p.plan)
}

func (p *planWorker) plan(ctx context.Context, work *backup.StepWork) error {
	providers := work.Backup.Providers
	if providers == nil {
		providers = p.w.client.ProviderNames()
	}
	if len(providers) == 0 {
		return backup.Permanent(errors.New("no provider is configured"), "configure providers where the workers run")
	}
	for _, name := range providers {
		if p.w.client.Provider(name) == nil {
			return backup.Permanent(fmt.Errorf("provider %q is not configured", name), "configure it where the workers run, or ask for others")
		}
	}
	exports, err := p.size(ctx, work.Backup, providers)
	if err != nil {
		return err
	}
	bctx, cancel := p.w.bounded(ctx)
	defer cancel()
	if err := p.w.ledger.FinishPlan(bctx, work.Lease, exports); err != nil {
		return inLedger(err)
	}
	p.w.passed("plan")
	return river.RecordOutput(ctx, planOutput{BackupID: work.BackupID, Providers: providers})
}

// planOutput is what operators see on the River job.
type planOutput struct {
	BackupID  string   `json:"backup_id"`
	Providers []string `json:"providers,omitempty"`
}

// step claims a step of a backup, holds its lease while run works, and records
// how it ended.
func (w *Workers) step(
	ctx context.Context, jobID int64, backupID string, retry retryAt,
	claim func(context.Context, string, backup.ClaimParams) (*backup.StepWork, error),
	run func(context.Context, *backup.StepWork) error,
) error {
	claimedAt := now()
	cctx, cancel := context.WithTimeout(ctx, w.cfg.LeaseDuration)
	defer cancel()
	work, err := claim(cctx, backupID, w.claim(jobID))
	if err != nil {
		return w.unclaimed(ctx, err)
	}
	leased, held := w.heart.hold(ctx, work.Lease, claimedAt)
	defer w.heart.drop(held)
	if err = w.guarded(ctx, func() error { return run(leased, work) }); err == nil {
		return nil
	}
	if ok, err := w.interrupted(ctx, leased, err, backupID, jobID, func(ctx context.Context) error {
		return w.ledger.ReleaseStep(ctx, work.Lease)
	}); ok {
		return err
	}
	if databaseAway(err) {
		w.release(ctx, backupID, func(ctx context.Context) error { return w.ledger.ReleaseStep(ctx, work.Lease) })
		return fmt.Errorf("handed over: %w", err)
	}
	cause := backup.Classify(err)
	bctx, stop := detached(leased) // a process that stops now still says how it ended
	defer stop()
	var out backup.Outcome
	err = insist(bctx, func(ctx context.Context) (err error) {
		out, err = w.ledger.FailStep(ctx, work, cause, w.stepPolicy())
		return err
	})
	if errors.Is(err, backup.ErrLeaseLost) {
		w.stats.leaseLost()
		return river.JobSnooze(w.cfg.LeaseDuration)
	}
	if err != nil {
		return fmt.Errorf("record failure: %w", err)
	}
	w.reportStep(ctx, work, claimedAt, cause.Class, out.Final)
	return failed(ctx, cause, out, retry)
}
