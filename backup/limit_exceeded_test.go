package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A worker that slept past its lease has lost its room to another task: its
// heartbeat must not bring the lease back to life beside that one.
func TestRenewedZombieExceedsTheLimit(t *testing.T) {
	b := setup(t, limitSite(1))
	first, second := b.planFor("a", "site"), b.planFor("b", "site")
	zombie := b.claim(first, "site")
	b.expire() // it was stopped, and nobody else has claimed its task: there is no room
	b.claim(second, "site")
	held, err := b.ledger.Renew(b.ctx, []backup.Beat{{Lease: zombie.Lease}}, lease)
	require.NoError(t, err)
	running := b.count(`SELECT count(*) FROM {backup_task} WHERE state = 'running' AND lease_until > now()`)
	require.Equal(t, 1, running, "tasks of the provider that run (the zombie was told: renewed=%v)", held[zombie.Token])
}
