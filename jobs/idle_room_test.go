package jobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// Under a limit, tiny backups of some users are done in a moment: none of them
// waits with nothing running.
func TestRoomStaysIdle(t *testing.T) {
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: tiny{}, MaxRunning: 1}}
	}})
	b.work()
	b.work()
	const patience = 20 * time.Second // of a room that is lost a minute goes by
	var longest time.Duration
	for round := range envtest.Count(20, 300) {
		began := time.Now()
		ids := b.startFor(fmt.Sprint("a", round))
		<-time.After(time.Duration(round%40) * time.Millisecond) // not always at the same point of the first
		ids = append(ids, b.startFor(fmt.Sprint("b", round))...)
		for _, id := range ids {
			b.waitFor(id, 2*time.Minute, func(now *backup.Backup) bool { return now.State.Terminal() })
		}
		if longest = max(longest, time.Since(began)); longest > patience {
			break
		}
	}
	require.Less(t, longest, patience)
}
