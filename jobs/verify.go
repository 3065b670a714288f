package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
)

type verifyArgs struct {
	backup.VerifyArgs

	retryAt
}

func (a verifyArgs) lease() (backupID, taskID string) { return a.BackupID, "" }

// verifyWorker reads the copy of a backup and compares it with its manifest. It
// holds the backup's lease meanwhile: a backup that is deleted takes that away,
// so that objects which are missing because of it are never called damage. After
// a crash it begins again.
type verifyWorker struct{ base[verifyArgs] }

// Work verifies.
func (v *verifyWorker) Work(ctx context.Context, job *river.Job[verifyArgs]) error {
	job.Args.retryAt = newRetryAt()
	if outdated(job.Args.Version) {
		return river.JobSnooze(untilUpdated)
	}
	return v.w.step(ctx, job.ID, job.Args.BackupID, job.Args.retryAt, v.w.ledger.ClaimVerify, v.verify)
}

func (v *verifyWorker) verify(ctx context.Context, step *backup.StepWork) error {
	rctx, cancel := v.w.bounded(ctx)
	defer cancel()
	work, err := v.w.ledger.VerifyWork(rctx, step)
	if err != nil {
		return inLedger(err)
	}
	v.w.passed("verify claim")
	found, err := backup.VerifyCopy(ctx, v.w.store, work.ManifestKey, work.Manifest, work.Params)
	if err != nil {
		return storeFailed(err)
	}
	v.w.passed("verify")
	fctx, stop := v.w.bounded(ctx)
	defer stop()
	if err := v.w.ledger.FinishVerify(fctx, work.Lease, found); err != nil {
		return inLedger(err)
	}
	if err := found.Err(); err != nil {
		v.w.cfg.Logger.ErrorContext(ctx, "backup is corrupt", "backup", work.BackupID, "error", err)
	}
	return river.RecordOutput(ctx, found)
}
