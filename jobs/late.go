package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	// withdrawLooks is how often a worker that was given up removes what it wrote: a
	// request that it broke off may reach the store behind the first.
	withdrawLooks = 2

	// withdrawTries bounds how often it asks a database or a store that is away, and
	// withdrawPause is how long it waits in between.
	withdrawTries = 10
	withdrawPause = 2 * time.Second

	// withdrawPatience bounds the one look of an attempt that ended for another reason.
	withdrawPatience = 2 * time.Second
)

// withdraw removes the object at key, which this worker has written or was about to, if
// the backup is gone: it was deleted or erased while this process was stopped for longer
// than its lease, and whoever removed it has finished. After an erasure nothing is
// left that names the place, and so nobody else would find it. Nothing happens where the
// backup has a row: others go on with the object, or delete it.
//
// cause is why the attempt ended. leased ends with the lease, and stop is the job's
// context: behind its end nothing is waited for.
func (w *Workers) withdraw(stop, leased context.Context, cause error, backupID, key string) {
	errs, patience := withdrawTries, bookkeeping
	if !errors.Is(cause, backup.ErrLeaseLost) && !errors.Is(context.Cause(leased), backup.ErrLeaseLost) {
		errs, patience = 1, withdrawPatience // what looks like another error may be that; nobody waits for it
	}
	for looks := 0; ; {
		pause := w.cfg.LeaseDuration
		gone, err := w.removeLate(context.WithoutCancel(stop), backupID, key, patience)
		switch {
		case err != nil:
			w.cfg.Logger.WarnContext(stop, "remove what was written too late", "backup", backupID, "error", err)
			errs--
			pause = withdrawPause
		case gone:
			looks++
		}
		if err == nil && !gone || errs <= 0 || looks >= withdrawLooks {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-stop.Done():
			timer.Stop()
			return
		}
	}
}

// removeLate removes the object at key if the backup is gone.
func (w *Workers) removeLate(ctx context.Context, backupID, key string, patience time.Duration) (gone bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	have, err := w.ledger.HaveRows(ctx, []string{backupID})
	if err != nil || have[backupID] {
		return false, err
	}
	if err := w.store.Delete(ctx, key); err != nil {
		return true, fmt.Errorf("delete object: %w", err)
	}
	if err := w.store.Abort(ctx, key); err != nil {
		return true, fmt.Errorf("drop staged parts: %w", err)
	}
	return true, nil
}
