package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A job that comes too soon is due when the database says, however wrong this process's
// clock is.
func TestEarlyJobIsDueByTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"right": 0, "behind": 10 * time.Minute, "ahead": -10 * time.Minute} {
		early := &backup.EarlyError{At: now().Add(time.Hour + wrong), Remaining: time.Hour}
		require.InDelta(t, (time.Hour + wrong).Seconds(), untilDue(early).Seconds(), 1, name)
	}
	require.Zero(t, untilDue(&backup.EarlyError{At: now().Add(-time.Minute), Remaining: time.Second}), "a snooze can't be negative")
}
