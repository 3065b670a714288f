package jobs

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// politeProvider asks to wait a second, many times, and then exports.
type politeProvider struct {
	tiny
	mu    sync.Mutex
	waits int
	asked []time.Time
}

func (p *politeProvider) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, time.Now())
	if len(p.asked) <= p.waits {
		return nil, backup.RetryAfter(errors.New("429"), time.Second, "")
	}
	return p.tiny.Export(ctx, req)
}

// Waits that the source asks for use no attempts up, River's neither: each is as
// long as the source said, and no job is discarded on the way.
func TestWaitsUseUpRiversAttempts(t *testing.T) {
	p := &politeProvider{waits: 18}
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: p, MaxAttempts: 1}}
	}})
	b.work()
	id := b.start()
	var got *backup.Backup
	b.waitFor(id, 3*time.Minute, func(now *backup.Backup) bool { got = now; return now.State.Terminal() })
	require.Equal(t, backup.StateDone, got.State)
	var longest time.Duration
	for i := 1; i < len(p.asked); i++ {
		longest = max(longest, p.asked[i].Sub(p.asked[i-1]))
	}
	require.Zero(t, b.count(`SELECT count(*) FROM {river_job} WHERE state = 'discarded'`), "the longest wait was %s", longest)
	require.Less(t, longest, 10*time.Second)
}
