package jobs

import (
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// The queues that are added are fetched from every 10 ms at most, unless the host
// has said how often.
func TestConfigureSetsCooldowns(t *testing.T) {
	b := setup(t, only(tiny{}.Export))
	own := map[string]river.QueueConfig{backup.QueueControl: {MaxWorkers: 3}}
	for name, c := range map[string]struct {
		rc      river.Config
		control time.Duration
		others  time.Duration
	}{
		"nothing set":         {river.Config{}, fetchCooldown, fetchCooldown},
		"the host's cooldown": {river.Config{FetchCooldown: 50 * time.Millisecond}, 50 * time.Millisecond, 50 * time.Millisecond},
		"the host's queue":    {river.Config{Queues: own}, 0, fetchCooldown},
		"a short poll":        {river.Config{FetchCooldown: time.Millisecond, FetchPollInterval: 5 * time.Millisecond}, time.Millisecond, time.Millisecond},
	} {
		w, err := New(b.client, nil)
		require.NoError(t, err)
		require.NoError(t, w.Configure(&c.rc), name)
		_, err = river.NewClient(riverpgxv5.New(b.pool), &c.rc)
		require.NoError(t, err, name)
		for queue, q := range c.rc.Queues {
			if queue == backup.QueueControl {
				require.Equal(t, c.control, q.FetchCooldown, name)
				continue
			}
			require.Equal(t, c.others, q.FetchCooldown, "%s: %s", name, queue)
		}
	}
}
