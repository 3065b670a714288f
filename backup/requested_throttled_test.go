package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A store that throttles a verification or a deletion for more than a day uses their
// attempts up.
func TestThrottledRequestsEnd(t *testing.T) {
	b := setup(t)
	type verb struct {
		ask   func(id string) error
		claim func(id string) (*backup.StepWork, error)
	}
	for name, v := range map[string]verb{
		"verify": {
			func(id string) error { _, err := b.client.Verify(b.ctx, id, backup.VerifyParams{}); return err },
			func(id string) (*backup.StepWork, error) {
				return b.ledger.ClaimVerify(b.ctx, id, claim(b.job(id, "")))
			},
		},
		"delete": {
			func(id string) error { _, err := b.client.Delete(b.ctx, id); return err },
			func(id string) (*backup.StepWork, error) {
				return b.ledger.ClaimDelete(b.ctx, id, claim(b.job(id, "")))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := b.start().ID
			b.plan(id, "db")
			b.finish(id, "db")
			b.seal(id)
			require.NoError(t, v.ask(id))
			fail := func() backup.Outcome {
				b.due(id)
				w, err := v.claim(id)
				require.NoError(t, err)
				out, err := b.ledger.FailStep(b.ctx, w, backup.Classify(backup.RetryAfter(errTest, time.Second, "")), backup.RetryPolicy{MaxAttempts: 3})
				require.NoError(t, err)
				return out
			}
			for range 5 {
				require.False(t, fail().Final, "within a day")
			}
			b.exec(`UPDATE {backup} SET requested_at = now() - interval '2 days' WHERE id = $1`, id)
			require.False(t, fail().Final)
			require.False(t, fail().Final)
			require.True(t, fail().Final)
		})
	}
}
