package backup_test

import (
	"encoding/json"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

func TestWholeBackup(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db", "site")
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskPending, "site": backup.TaskPending})
	require.Equal(t, 1, b.count(`SELECT count(*) FROM {river_job} WHERE kind = 'backup_task_site' AND queue = 'backup_task_site'
		AND tags::text[] = ARRAY['backup-' || $1, 'provider-site'] AND metadata->>'provider' = 'site' AND metadata->>'user_id' = $2`, id, userID))
	b.finish(id, "db")
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskDone, "site": backup.TaskPending})
	b.finish(id, "site")
	b.requireState(id, backup.StateSealing, states{"db": backup.TaskDone, "site": backup.TaskDone})
	b.seal(id)
	b.requireState(id, backup.StateDone, states{"db": backup.TaskDone, "site": backup.TaskDone})

	got := b.get(id)
	require.Equal(t, userID+"/"+siteID+"/"+id+"/manifest.json", got.ManifestKey)
	var m backup.Manifest
	var raw []byte
	require.NoError(t, b.pool.QueryRow(b.ctx, b.in("SELECT manifest FROM {backup}")).Scan(&raw))
	require.NoError(t, json.Unmarshal(raw, &m))
	require.Equal(t, 1, m.Version)
	require.Len(t, m.Objects, 2)
	require.Equal(t, "db", m.Objects[0].Provider)
	require.Equal(t, got.Tasks[0].ObjectKey, m.Objects[0].Key)
	require.EqualValues(t, 10, m.Objects[0].Size)
	require.Equal(t, []backup.ManifestPart{{Size: 10, CRC64: "8000000000000000"}}, m.Objects[0].Parts)
	require.Equal(t, backup.ProofLength, m.Objects[0].Proof)

	var names []backup.EventName
	events, err := b.client.Events(b.ctx, id, 0, 1000)
	require.NoError(t, err)
	for i, e := range events {
		require.EqualValues(t, i+1, e.Seq)
		names = append(names, e.Name)
	}
	task := []backup.EventName{backup.EventUpdateTask, backup.EventUpdateTask, backup.EventUpdateTask}
	want := []backup.EventName{backup.EventUploadJobCreated, backup.EventUpdateTask, backup.EventUpdateTask, backup.EventUpdateBackup}
	want = append(append(append(want, task...), task...), backup.EventUpdateBackup, backup.EventUpdateBackup)
	require.Equal(t, want, names)
}

// Every write of a worker whose lease went to another one is refused.
func TestFencing(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	stalePlan, err := b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	b.expire()
	b.plan(id, "db")
	zombie := b.claim(id, "db")
	var leased *backup.LeasedError
	_, err = b.ledger.ClaimTask(b.ctx, b.taskArgs(id, "db"), claim(b.job(id, "db")))
	require.ErrorAs(t, err, &leased)
	require.InDelta(t, lease.Seconds(), leased.Remaining.Seconds(), 5)

	b.expire()
	w := b.claim(id, "db")
	policy := backup.RetryPolicy{MaxAttempts: 10}
	before := b.snapshot()
	for name, verb := range map[string]func() error{
		"plan": func() error { return b.ledger.FinishPlan(b.ctx, stalePlan.Lease, planned("db")) },
		"step": func() error {
			_, err := b.ledger.FailStep(b.ctx, stalePlan, backup.Classify(errTest), policy)
			return err
		},
		"release": func() error { return b.ledger.ReleaseStep(b.ctx, stalePlan.Lease) },
		"open":    func() error { return b.ledger.OpenTask(b.ctx, zombie, backup.Source{}) },
		"resume":  func() error { return b.ledger.OpenTask(b.ctx, zombie, backup.Source{Resumed: true}) },
		"journal": func() error {
			return b.ledger.JournalTask(b.ctx, zombie, &blob.Checkpoint{Parts: parts(zombie, 0, 1), Offset: 1}, true)
		},
		"journal quietly": func() error {
			return b.ledger.JournalTask(b.ctx, zombie, &blob.Checkpoint{Parts: parts(zombie, 0, 1), Offset: 1}, false)
		},
		"gate":   func() error { return b.ledger.GateTask(b.ctx, zombie, content(zombie, 1), backup.ProofLength) },
		"finish": func() error { return b.ledger.FinishTask(b.ctx, zombie.Lease) },
		"fail": func() error {
			_, err := b.ledger.FailTask(b.ctx, backup.Beat{Lease: zombie.Lease}, backup.Classify(errTest), policy)
			return err
		},
		"lose": func() error {
			_, err := b.ledger.LoseTask(b.ctx, backup.Beat{Lease: zombie.Lease}, backup.Classify(errTest), policy)
			return err
		},
		"hand": func() error { return b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: zombie.Lease}) },
	} {
		require.ErrorIs(t, verb(), backup.ErrLeaseLost, name)
		require.Equal(t, before, b.snapshot(), name)
	}
	held, err := b.ledger.Renew(b.ctx, []backup.Beat{{Lease: zombie.Lease, ReceivedBytes: 99}, {Lease: w.Lease}, {Lease: stalePlan.Lease}}, lease)
	require.NoError(t, err)
	require.Equal(t, map[[16]byte]bool{w.Token: true}, bytesOf(held))
	require.Equal(t, before, b.snapshot(), "renewal touches nothing of another's")
}

func bytesOf[K ~[16]byte](m map[K]bool) map[[16]byte]bool {
	out := make(map[[16]byte]bool)
	for k, v := range m {
		out[k] = v
	}
	return out
}

// snapshot is every row but for the leases' ends.
func (b *bundle) snapshot() (rows []string) {
	b.Helper()
	for _, table := range []string{"backup", "backup_task", "backup_part", "backup_event"} {
		r, err := b.pool.Query(b.ctx, b.in("SELECT (to_jsonb(t) - 'lease_until')::text FROM {"+table+"} t ORDER BY 1"))
		require.NoError(b, err)
		texts, err := pgx.CollectRows(r, pgx.RowTo[string])
		require.NoError(b, err)
		rows = append(rows, texts...)
	}
	return rows
}

func TestOpenTaskStartsOver(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	w := b.claim(id, "db")
	first := w.UploadID
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"1"`, Size: -1}))
	require.Equal(t, first, w.UploadID, "nothing was staged under the first id")
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 5), Offset: 5, SHA256: []byte("s")}, false))
	require.NoError(t, b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: w.Lease}))

	w = b.claim(id, "db")
	require.Len(t, w.Checkpoint.Parts, 1)
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"2"`, Size: 8}))
	require.NotEqual(t, first, w.UploadID)
	require.Contains(t, w.Task.ObjectKey, w.UploadID.String())
	require.Nil(t, w.Checkpoint)
	got := b.get(id).Tasks[0]
	require.Zero(t, got.StoredBytes)
	require.EqualValues(t, 8, *got.AnnouncedSize)
	require.Zero(t, b.count("SELECT count(*) FROM {backup_part}"))
	b.requireSound()
}

func TestGateRefusesOtherParts(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	w := b.claim(id, "db")
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Size: -1}))
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 5, 5), Offset: 10}, false))
	before := b.snapshot()
	for _, c := range []*blob.Content{content(w, 5), content(w, 7, 7, 7), {Size: 11, Parts: parts(w, 0, 5, 5)}} {
		err := b.ledger.GateTask(b.ctx, w, c, backup.ProofLength)
		require.Error(t, err)
		require.Equal(t, backup.ClassPermanent, backup.Classify(err).Class)
		require.Equal(t, before, b.snapshot())
	}
}

func TestFailTask(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	for attempt := 1; attempt <= 2; attempt++ {
		w := b.claim(id, "db")
		require.Equal(t, attempt, w.Task.Attempt)
		out := b.fail(w, backup.Retryable(errTest, "wait"))
		require.False(t, out.Final)
		got := b.get(id).Tasks[0]
		require.Equal(t, backup.TaskPending, got.State)
		require.Equal(t, &backup.Failure{Class: backup.ClassRetryable, Message: "it broke", Hint: "wait"}, got.Failure)
		require.NotNil(t, got.NextAttemptAt)
	}
	// A wait that the source asked for and a soft stop use no attempt up.
	out := b.fail(b.claim(id, "db"), backup.RetryAfter(errTest, time.Minute, ""))
	require.Equal(t, backup.Outcome{Delay: time.Minute}, out)
	require.NoError(t, b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: b.claim(id, "db").Lease}))
	require.Equal(t, 3, b.get(id).Tasks[0].Attempt)

	// Beyond the time that is allowed, no attempt is left.
	b.exec("UPDATE {backup_task} SET progress_at = now() - interval '59 minutes 30 seconds'")
	require.True(t, b.fail(b.claim(id, "db"), backup.RetryAfter(errTest, time.Minute, "")).Final)
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskFailed})
}

func TestFailTaskUsesAttemptsUp(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	for range 2 {
		require.False(t, b.fail(b.claim(id, "db"), errTest).Final)
	}
	require.True(t, b.fail(b.claim(id, "db"), errTest).Final)
	require.Equal(t, 3, b.get(id).Tasks[0].Attempt)
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskFailed})
}

func TestContinueOnFailure(t *testing.T) {
	b := setup(t)
	id := b.start(func(p *backup.StartParams) { p.ContinueOnFailure = true }).ID
	b.plan(id, "db", "site")
	b.fail(b.claim(id, "db"), backup.Permanent(errTest, ""))
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskFailed, "site": backup.TaskPending})
	b.finish(id, "site")
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskFailed, "site": backup.TaskDone})
}

// Fail-fast waits for a sibling that has passed the commit gate.
func TestFailureWaitsForCommit(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db", "mail", "site")
	w := b.claim(id, "db")
	b.gate(w)
	b.fail(b.claim(id, "site"), backup.Permanent(errTest, ""))
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskCommitting, "mail": backup.TaskCanceled, "site": backup.TaskFailed})
	require.NoError(t, b.ledger.FinishTask(b.ctx, w.Lease))
	b.requireState(id, backup.StateFailed, states{"db": backup.TaskDone, "mail": backup.TaskCanceled, "site": backup.TaskFailed})
}

// A sealing backup's manifest can't be saved by a worker whose lease is gone.
func TestSealFencing(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	b.finish(id, "db")
	zombie, err := b.ledger.ClaimSeal(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	b.expire()
	w, err := b.ledger.ClaimSeal(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	_, _, err = b.ledger.SaveManifest(b.ctx, zombie)
	require.ErrorIs(t, err, backup.ErrLeaseLost)
	require.ErrorIs(t, b.ledger.FinishSeal(b.ctx, zombie.Lease), backup.ErrLeaseLost)
	_, _, err = b.ledger.SaveManifest(b.ctx, w)
	require.NoError(t, err)
	require.NoError(t, b.ledger.FinishSeal(b.ctx, w.Lease))
	require.ErrorIs(t, b.ledger.FinishSeal(b.ctx, w.Lease), backup.ErrLeaseLost, "once")
}

// Tasks that end at the same time, whichever way, while somebody cancels, never
// leave a backup open, and the counts stay exact.
func TestEndsAtOnce(t *testing.T) {
	b := setup(t)
	providers := []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"}
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for range rounds {
		id := b.start(func(p *backup.StartParams) { p.ContinueOnFailure = rand.N(2) == 0 }).ID
		b.plan(id, providers...)
		var work []*backup.TaskWork
		for _, p := range providers {
			w := b.claim(id, p)
			b.gate(w)
			work = append(work, w)
		}
		var wg sync.WaitGroup
		cancel, failing := rand.N(3) == 0, rand.N(2) == 0
		for i, w := range work {
			ledger := b.another()
			wg.Go(func() {
				if failing && i < 2 {
					_, _ = ledger.FailTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(backup.Permanent(errTest, "")), backup.RetryPolicy{MaxAttempts: 1})
					return
				}
				_ = ledger.FinishTask(b.ctx, w.Lease)
			})
		}
		if cancel {
			wg.Go(func() { _, _ = b.client.Cancel(b.ctx, id) })
		}
		wg.Wait()
		got := b.get(id)
		switch {
		case failing:
			require.Equal(t, backup.StateFailed, got.State)
		case cancel:
			require.Contains(t, []backup.State{backup.StateCanceled, backup.StateSealing}, got.State)
		default:
			require.Equal(t, backup.StateSealing, got.State)
		}
	}
	b.requireSound()
}
