package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
)

// reconcileLimit bounds what one run mends; the next one is a minute away.
const reconcileLimit = 1000

// reconcileWorker mends what was done to our River jobs behind the workers'
// backs.
type reconcileWorker struct {
	river.WorkerDefaults[backup.ReconcileArgs]
	w *Workers
}

// Timeout is less than the time between two runs.
func (r *reconcileWorker) Timeout(*river.Job[backup.ReconcileArgs]) time.Duration {
	return reconcileEvery / 2
}

// Work reconciles once.
func (r *reconcileWorker) Work(ctx context.Context, _ *river.Job[backup.ReconcileArgs]) error {
	done, err := r.w.ledger.Reconcile(ctx, reconcileLimit)
	if err != nil {
		return err
	}
	erasures, err := r.w.ledger.MendErasures(ctx, reconcileLimit)
	if err != nil {
		return err
	}
	done.Requeued += erasures
	if _, err := r.w.ledger.DropExpiredKeys(ctx, reconcileLimit); err != nil {
		return err
	}
	if done != (backup.Reconciled{}) {
		r.w.cfg.Logger.InfoContext(ctx, "reconciled", "requeued", done.Requeued, "canceled", done.Canceled, "admitted", done.Admitted)
	}
	return river.RecordOutput(ctx, done)
}
