package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// stepCase is a step of a backup: how it comes to be, and how it is claimed.
type stepCase struct {
	begin func(b *bundle) (id string)
	claim func(l *backup.Ledger, ctx context.Context, id string, p backup.ClaimParams) (*backup.StepWork, error)
	again func(b *bundle, id string) // asks for it when it has failed
}

func stepCases() map[string]stepCase {
	retry := func(b *bundle, id string) {
		_, err := b.client.Retry(b.ctx, id)
		require.NoError(b, err)
	}
	verify := func(b *bundle, id string) {
		_, err := b.client.Verify(b.ctx, id, backup.VerifyParams{})
		require.NoError(b, err)
	}
	return map[string]stepCase{
		"planning": {func(b *bundle) string { return b.start().ID }, (*backup.Ledger).ClaimPlan, retry},
		"sealing": {func(b *bundle) string {
			id := b.start().ID
			b.plan(id, "db")
			b.finish(id, "db")
			return id
		}, (*backup.Ledger).ClaimSeal, retry},
		"deletion": {func(b *bundle) string {
			id := b.ended()
			_, err := b.client.Delete(b.ctx, id)
			require.NoError(b, err)
			return id
		}, (*backup.Ledger).ClaimDelete, func(b *bundle, _ string) {
			n, err := b.ledger.RetryDeletions(b.ctx, 10)
			require.NoError(b, err)
			require.Equal(b, 1, n)
		}},
		"verification": {func(b *bundle) string {
			id := b.ended()
			verify(b, id)
			return id
		}, (*backup.Ledger).ClaimVerify, verify},
	}
}

// A step whose workers die one after another is bounded as a task is.
func TestStepThatKillsItsWorkers(t *testing.T) {
	for name, step := range stepCases() {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id := step.begin(b)
			try := func() error {
				_, err := step.claim(b.ledger, b.ctx, id, claim(b.job(id, "")))
				return err
			}
			b.dieAsOftenAsMay(try)
			var leased *backup.LeasedError
			require.ErrorAs(t, try(), &leased, "the last one is alive")
			b.died(time.Second)
			var idle *backup.IdleError
			require.ErrorAs(t, try(), &idle)

			got := b.get(id)
			failure := got.Failure
			switch name {
			case "verification":
				require.Equal(t, backup.StateDone, got.State)
				require.False(t, got.Verifying())
				failure = got.Verification.Failure
			case "deletion":
				require.Equal(t, backup.StateDeleting, got.State)
			default:
				require.Equal(t, backup.StateFailed, got.State)
			}
			require.Equal(t, backup.ClassPermanent, failure.Class)
			require.Contains(t, failure.Message, "20 workers have died one after another at this step of the backup")
			b.requireSound()
			if name != "deletion" { // whoever runs that one's job again means it
				require.ErrorAs(t, try(), &idle, "and so it stays")
			}
			step.again(b, id)
			require.NoError(t, try(), "whoever asks again means it")
			for range 2 {
				b.died(time.Second)
				require.NoError(t, try())
			}
		})
	}
}

// A failure or a handover begins the count again, and so does the next step.
func TestStepsBetweenWorkersThatDie(t *testing.T) {
	for name, step := range stepCases() {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id := step.begin(b)
			try := func() *backup.StepWork {
				b.due(id)
				w, err := step.claim(b.ledger, b.ctx, id, claim(b.job(id, "")))
				require.NoError(t, err)
				return w
			}
			twoDie := func() {
				for range 2 {
					try()
					b.died(time.Second)
				}
			}
			twoDie()
			require.NoError(t, b.ledger.ReleaseStep(b.ctx, try().Lease))
			twoDie()
			_, err := b.ledger.FailStep(b.ctx, try(), backup.Classify(errTest), backup.RetryPolicy{MaxAttempts: 10})
			require.NoError(t, err)
			twoDie()
			if name != "planning" {
				try()
				return
			}
			require.NoError(t, b.ledger.FinishPlan(b.ctx, try().Lease, planned("db")))
			b.finish(id, "db")
			step.claim = (*backup.Ledger).ClaimSeal
			twoDie()
			try()
		})
	}
}

// A restarted process takes its steps back; one that killed it again and again waits,
// and for no longer because it was taken back again.
func TestTakeBackOfAStepThatKillsItsWorkers(t *testing.T) {
	for name, step := range stepCases() {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id := step.begin(b)
			takeBack := func(want int) {
				taken, err := b.ledger.TakeBack(b.ctx, "test")
				require.NoError(t, err)
				require.Equal(t, want, taken)
			}
			try := func() error {
				_, err := step.claim(b.ledger, b.ctx, id, claim(b.job(id, "")))
				return err
			}
			for range 3 {
				require.NoError(t, try())
				takeBack(1)
			}
			var early *backup.EarlyError
			require.ErrorAs(t, try(), &early)
			require.InDelta(t, 60, early.Remaining.Seconds(), 15)
			takeBack(0)
			b.died(time.Minute + time.Second)
			require.NoError(t, try())
			b.died(time.Minute)
			takeBack(1)
			require.ErrorAs(t, try(), &early)
			require.InDelta(t, 60, early.Remaining.Seconds(), 15, "since its lease ended")
		})
	}
}
