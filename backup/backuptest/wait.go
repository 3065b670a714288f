package backuptest

import (
	"context"
	"fmt"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

const pollEvery = 20 * time.Millisecond

// Wait waits until a backup has ended, and returns it: done, failed or canceled.
// Without workers somewhere it waits until ctx ends, and then says where the
// backup stands.
func Wait(ctx context.Context, client *backup.Client, id string) (*backup.Backup, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for state := backup.StatePending; ; {
		b, err := client.Get(ctx, id)
		switch {
		case err == nil && b.State.Terminal():
			return b, nil
		case err == nil:
			state = b.State
		case ctx.Err() == nil:
			return nil, fmt.Errorf("wait for backup %s: %w", id, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for backup %s, which is %s: %w", id, state, context.Cause(ctx))
		}
	}
}
