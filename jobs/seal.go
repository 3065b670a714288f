package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

type sealArgs struct {
	backup.SealArgs

	retryAt
}

func (a sealArgs) lease() (backupID, taskID string) { return a.BackupID, "" }

// sealWorker writes the manifest of a backup whose tasks are all done.
type sealWorker struct{ base[sealArgs] }

// sealOutput is what operators see on the River job.
type sealOutput struct {
	Manifest string `json:"manifest"` // its key in the store
	Bytes    int64  `json:"bytes"`    // of all objects together
	Objects  int    `json:"objects"`
}

// Work seals.
func (s *sealWorker) Work(ctx context.Context, job *river.Job[sealArgs]) error {
	job.Args.retryAt = newRetryAt()
	if outdated(job.Args.Version) {
		return river.JobSnooze(untilUpdated)
	}
	return s.w.step(ctx, job.ID, job.Args.BackupID, job.Args.retryAt, s.w.ledger.ClaimSeal, func(leased context.Context, work *backup.StepWork) error {
		return s.seal(ctx, leased, work)
	})
}

// seal has two contexts: stop is the job's, and ctx ends with the lease, too.
func (s *sealWorker) seal(stop, ctx context.Context, work *backup.StepWork) error {
	bctx, cancel := s.w.bounded(ctx)
	defer cancel()
	data, key, err := s.w.ledger.SaveManifest(bctx, work)
	if err != nil {
		return inLedger(err)
	}
	s.w.passed("manifest")
	if err := s.write(ctx, work, data, key); err != nil {
		s.w.withdraw(stop, ctx, err, work.BackupID, key)
		return err
	}
	out := sealOutput{Manifest: key, Objects: len(work.Backup.Tasks)}
	for _, t := range work.Backup.Tasks {
		out.Bytes += t.Size
	}
	s.w.cfg.Logger.InfoContext(ctx, "backup done", "backup", work.BackupID, "objects", out.Objects, "bytes", out.Bytes)
	return river.RecordOutput(ctx, out)
}

// write writes the manifest, and makes the backup done.
func (s *sealWorker) write(ctx context.Context, work *backup.StepWork, data []byte, key string) error {
	confirm := func(ctx context.Context) error {
		ctx, cancel := s.w.bounded(ctx)
		defer cancel()
		return inLedger(s.w.ledger.Confirm(ctx, work.Lease))
	}
	if err := blob.Put(ctx, s.w.store, key, data, backup.ManifestContentType, confirm); err != nil {
		if failed := new(ledgerError); errors.As(err, &failed) {
			return failed
		}
		if errors.Is(err, blob.ErrConflict) {
			ctx, cancel := s.w.bounded(ctx)
			defer cancel()
			if err := s.w.ledger.RenameManifest(ctx, work.Lease); err != nil {
				return inLedger(err)
			}
			return backup.Retryable(fmt.Errorf("write manifest: %w", err), "it gets another name; was the database restored, or does somebody else write to the store?")
		}
		return storeFailed(fmt.Errorf("write manifest: %w", err))
	}
	s.w.passed("seal")
	bctx, cancel := s.w.bounded(ctx)
	defer cancel()
	return inLedger(s.w.ledger.FinishSeal(bctx, work.Lease))
}
