package jobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// Somebody with one backup doesn't wait behind another's long queue where it is
// the process that is full, either.
func TestFullProcessHoldsUpAnotherUser(t *testing.T) {
	const n = 40
	g := newTurnstile()
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: g, MaxWorkers: 20}}
	}})
	params := make([]backup.StartParams, n)
	for i := range params {
		params[i] = backup.StartParams{UserID: "busy", SiteID: fmt.Sprint(i)}
	}
	_, err := b.client.StartMany(b.ctx, params)
	require.NoError(t, err)
	b.work(func(c *Config, _ *river.Config) { c.MaxTasks = 1 })
	require.Equal(t, "busy", b.next(g))
	b.eventually("all to be planned", time.Minute, func() bool {
		return b.count("SELECT count(*) FROM {backup} WHERE state = 'running'") == n
	})
	single := b.startFor("single")
	b.eventually("the single one to be planned", 10*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {backup_task} t JOIN {backup} b ON b.id = t.backup_id WHERE b.user_id = 'single'") == 1
	})
	behind := 0
	for user := "busy"; user == "busy"; behind++ {
		g.let <- struct{}{}
		user = b.next(g)
	}
	g.open()
	b.requireDone(single)
	require.LessOrEqual(t, behind, 2, "at most one slot later")
}
