package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func nothing() {}

// together runs n calls of fn in one group, and returns their errors.
func (b *bundle) together(n int, fn func(i int) error) []error {
	b.Helper()
	errs, fns := make([]error, n), make([]func(), n)
	for i := range fns {
		fns[i] = func() { errs[i] = fn(i) }
	}
	b.ledger.Together(nothing, fns...)
	return errs
}

// noRefusals checks that no group was given up for the general way.
func noRefusals(t *testing.T) func(*backup.Config) {
	t.Helper()
	var log bytes.Buffer // slog's handler writes it under a lock
	t.Cleanup(func() { require.NotContains(t, log.String(), "by itself") })
	return func(cfg *backup.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
}

func requireNone(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// Backups that go through all their steps together end as if each had gone alone:
// the same rows and events, and each row with its own River job.
func TestGroupOfManyBackups(t *testing.T) {
	b := setup(t, noRefusals(t))
	const n = 7
	alone := b.start().ID
	ids := make([]string, n)
	for i := range ids {
		ids[i] = b.start(func(p *backup.StartParams) { p.UserID = fmt.Sprintf("user%d", i) }).ID
	}
	providers := []string{"db", "site"}
	b.plan(alone, providers...)
	for _, p := range providers {
		b.finish(alone, p)
	}
	b.seal(alone)

	plans := make([]*backup.StepWork, n)
	requireNone(t, b.together(n, func(i int) (err error) {
		plans[i], err = b.ledger.ClaimPlan(b.ctx, ids[i], claim(b.job(ids[i], "")))
		return err
	}))
	requireNone(t, b.together(n, func(i int) error { return b.ledger.FinishPlan(b.ctx, plans[i].Lease, planned(providers...)) }))
	b.requireOwnJobs()

	works := make([]*backup.TaskWork, 2*n)
	task := func(i int) (id, provider string) { return ids[i/2], providers[i%2] }
	args, jobs := make([]backup.TaskArgs, 2*n), make([]int64, 2*n)
	for i := range works {
		args[i], jobs[i] = b.taskArgs(task(i)), b.job(task(i))
	}
	requireNone(t, b.together(2*n, func(i int) (err error) {
		works[i], err = b.ledger.ClaimTask(b.ctx, args[i], claim(jobs[i]))
		return err
	}))
	for i, w := range works {
		require.Equal(t, args[i].TaskID, w.Task.ID)
		require.Equal(t, args[i].BackupID, w.Backup.ID)
	}
	requireNone(t, b.together(2*n, func(i int) error {
		return b.ledger.OpenTask(b.ctx, works[i], backup.Source{Validator: `"v"`, ContentType: "text/plain", Size: 10})
	}))
	requireNone(t, b.together(2*n, func(i int) error {
		return b.ledger.GateTask(b.ctx, works[i], content(works[i], 10), backup.ProofLength)
	}))
	requireNone(t, b.together(2*n, func(i int) error { return b.ledger.FinishTask(b.ctx, works[i].Lease) }))
	b.requireOwnJobs()

	seals := make([]*backup.StepWork, n)
	requireNone(t, b.together(n, func(i int) (err error) {
		seals[i], err = b.ledger.ClaimSeal(b.ctx, ids[i], claim(b.job(ids[i], "")))
		return err
	}))
	requireNone(t, b.together(n, func(i int) error {
		data, key, err := b.ledger.SaveManifest(b.ctx, seals[i])
		if err != nil {
			return err
		}
		var m backup.Manifest
		require.NoError(t, json.Unmarshal(data, &m))
		require.Equal(t, ids[i], m.BackupID)
		require.Contains(t, key, ids[i])
		return nil
	}))
	requireNone(t, b.together(n, func(i int) error { return b.ledger.FinishSeal(b.ctx, seals[i].Lease) }))
	want := b.rows(alone)
	for i := range ids {
		got := b.rows(ids[i])
		for _, row := range got {
			if data, ok := row["data"].(map[string]any); ok && data["userId"] != nil {
				data["userId"] = userID
			}
		}
		require.Equal(t, inAnyOrder(want), inAnyOrder(got), "but for the order in which tasks of one backup went")
	}
	b.requireSound()
}

// inAnyOrder is rows without the numbers of events: the order of these isn't the
// same when tasks of one backup go together.
func inAnyOrder(rows []map[string]any) string {
	lines := make([]string, len(rows))
	for i, row := range rows {
		delete(row, "seq")
		line, _ := json.Marshal(row) // they came as JSON
		lines[i] = string(line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// requireOwnJobs checks that every River job that a row names is the row's own.
func (b *bundle) requireOwnJobs() {
	b.Helper()
	require.Zero(b, b.count(`SELECT count(*) FROM {backup_task} t LEFT JOIN {river_job} j ON j.id = t.river_job_id
		WHERE j.args->>'task_id' IS DISTINCT FROM t.id::text OR j.kind <> 'backup_task_' || t.provider`))
	require.Zero(b, b.count(`SELECT count(*) FROM {backup} b LEFT JOIN {river_job} j ON j.id = b.river_job_id
		WHERE j.args->>'backup_id' IS DISTINCT FROM b.id::text OR (b.state = 'sealing') <> (j.kind = 'backup_seal') AND b.state IN ('pending', 'sealing')`))
}

// In a group some find their rows as they need them, and some don't: each gets its
// own answer, whatever becomes of the others.
func TestGroupOfDifferentFates(t *testing.T) {
	b := setup(t, noRefusals(t))
	ids := make([]string, 5)
	works := make([]*backup.TaskWork, len(ids))
	for i := range ids {
		ids[i] = b.start().ID
		b.plan(ids[i], "db")
		works[i] = b.claim(ids[i], "db")
		b.gate(works[i])
	}
	const free, stale, locked, canceling, other = 0, 1, 2, 3, 4
	works[stale].Token = token()
	_, err := b.client.Cancel(b.ctx, ids[canceling])
	require.NoError(t, err)

	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = tx.Exec(b.ctx, b.in(`SELECT FROM {backup} WHERE id = $1 FOR UPDATE`), ids[locked])
	require.NoError(t, err)

	errs, fns := make([]error, len(ids)), make([]func(), len(ids))
	for i := range fns {
		fns[i] = func() {
			if errs[i] = b.ledger.FinishTask(b.ctx, works[i].Lease); i == other {
				_ = tx.Rollback(context.WithoutCancel(b.ctx)) // only now: the others didn't wait for it
			}
		}
	}
	b.ledger.Together(nothing, fns...)
	require.ErrorIs(t, errs[stale], backup.ErrLeaseLost)
	for _, i := range []int{free, locked, canceling, other} {
		require.NoError(t, errs[i], i)
	}
	b.requireState(ids[free], backup.StateSealing, states{"db": backup.TaskDone})
	b.requireState(ids[stale], backup.StateRunning, states{"db": backup.TaskCommitting})
	b.requireState(ids[locked], backup.StateSealing, states{"db": backup.TaskDone})
	b.requireState(ids[canceling], backup.StateCanceled, states{"db": backup.TaskDone})
	b.requireOwnJobs()
}

// A call that the database refuses fails by itself. The others of its group are
// written.
func TestGroupWithOneThatIsRefused(t *testing.T) {
	b := setup(t)
	const n = 3
	ids, plans := make([]string, n), make([]*backup.StepWork, n)
	for i := range ids {
		ids[i] = b.start().ID
		var err error
		plans[i], err = b.ledger.ClaimPlan(b.ctx, ids[i], claim(b.job(ids[i], "")))
		require.NoError(t, err)
	}
	errs := b.together(n, func(i int) error {
		if i == 1 {
			return b.ledger.FinishPlan(b.ctx, plans[i].Lease, planned("db", "db"))
		}
		return b.ledger.FinishPlan(b.ctx, plans[i].Lease, planned("db"))
	})
	require.NoError(t, errs[0])
	require.ErrorContains(t, errs[1], "backup_task_provider")
	require.NoError(t, errs[2])
	b.requireState(ids[0], backup.StateRunning, states{"db": backup.TaskPending})
	b.requireState(ids[1], backup.StatePending, states{})
	b.requireState(ids[2], backup.StateRunning, states{"db": backup.TaskPending})
	b.requireOwnJobs()
}

// Who gives up before the group has begun leaves nothing behind.
func TestGroupWithOneThatGaveUp(t *testing.T) {
	b := setup(t)
	ids := []string{b.start().ID, b.start().ID}
	jobs := []int64{b.job(ids[0], ""), b.job(ids[1], "")}
	ctx, cancel := context.WithCancelCause(b.ctx)
	left := make(chan struct{})
	var errs [2]error
	b.ledger.Together(func() {
		cancel(errTest)
		<-left
	}, func() {
		_, errs[0] = b.ledger.ClaimPlan(ctx, ids[0], claim(jobs[0]))
		close(left)
	}, func() { _, errs[1] = b.ledger.ClaimPlan(b.ctx, ids[1], claim(jobs[1])) })
	require.ErrorIs(t, errs[0], errTest)
	require.NoError(t, errs[1])
	require.Equal(t, []int{0, 1}, []int{
		b.count(`SELECT count(*) FROM {backup} WHERE id = $1 AND lease_token IS NOT NULL`, ids[0]),
		b.count(`SELECT count(*) FROM {backup} WHERE id = $1 AND lease_token IS NOT NULL`, ids[1]),
	})
}

// More calls than a group may have are several groups.
func TestMoreThanAGroup(t *testing.T) {
	b := setup(t)
	const n = 450
	ids, jobs := make([]string, n), make([]int64, n)
	require.NoError(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		for i := range ids {
			started, err := b.client.StartTx(b.ctx, tx, backup.StartParams{UserID: userID, SiteID: siteID})
			if err != nil {
				return err
			}
			ids[i] = started.ID
		}
		return nil
	}))
	for i, id := range ids {
		jobs[i] = b.job(id, "")
	}
	began := time.Now()
	requireNone(t, b.together(n, func(i int) error {
		w, err := b.ledger.ClaimPlan(b.ctx, ids[i], claim(jobs[i]))
		if err == nil {
			require.Equal(t, ids[i], w.Backup.ID)
		}
		return err
	}))
	t.Logf("%d claims in %s", n, time.Since(began))
	require.Equal(t, n, b.count(`SELECT count(*) FROM {backup} WHERE lease_token IS NOT NULL`))
}

// The database goes away while a group is written: each is told, and nothing is
// written.
func TestGroupWithoutDatabase(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	job := b.job(id, "")
	var err error
	b.ledger.Together(func() { b.pool.Close() }, func() { _, err = b.ledger.ClaimPlan(b.ctx, id, claim(job)) })
	require.Error(t, err)
	require.True(t, backup.IsUnavailable(err), "%v", err)
}
