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

	// withdrawTries bounds how often it asks a database or a store that is away.
	withdrawTries = 10

	// withdrawPatience bounds the one look of an attempt that ended for another reason.
	withdrawPatience = 2 * time.Second
)

// withdraw removes the object at key, which this worker has written or was about to, if
// the backup is gone: it was deleted or erased while this process was stopped for longer
// than its lease, and whoever removed it has finished. After an erasure nothing is
// left that names the place, and so nobody else would find it. Nothing happens where the
// backup has a row: others go on with the object, or delete it.
//
// cause is why the attempt ended, nil if it ended well.
func (w *Workers) withdraw(ctx context.Context, cause error, backupID, key string) {
	tries, patience := withdrawTries, bookkeeping
	switch {
	case cause == nil:
		return
	case errors.Is(cause, backup.ErrLeaseLost), errors.Is(context.Cause(ctx), backup.ErrLeaseLost):
	default: // what looks like another error may be that; nobody waits for it
		tries, patience = 1, withdrawPatience
	}
	ctx = context.WithoutCancel(ctx)
	for looks := 0; looks < withdrawLooks && tries > 0; tries-- {
		gone, err := w.removeLate(ctx, backupID, key, patience)
		switch {
		case err != nil:
			w.cfg.Logger.WarnContext(ctx, "remove what was written too late", "backup", backupID, "error", err)
		case !gone:
			return
		default:
			tries = max(tries, withdrawLooks-looks)
			looks++
		}
		if looks < withdrawLooks && tries > 1 {
			<-time.After(w.cfg.LeaseDuration)
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
