package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// rows is a backup as Postgres has it, its tasks, parts and events, without what
// no two backups share.
func (b *bundle) rows(id string) (rows []map[string]any) {
	b.Helper()
	var raw []byte
	require.NoError(b, b.pool.QueryRow(b.ctx, b.in(`SELECT jsonb_agg(r ORDER BY k, n) FROM (
		SELECT 1 AS k, 0 AS n, to_jsonb(b) AS r FROM {backup} b WHERE id = $1
		UNION ALL SELECT 2, row_number() OVER (ORDER BY provider), to_jsonb(t) FROM {backup_task} t WHERE backup_id = $1
		UNION ALL SELECT 3, row_number() OVER (ORDER BY provider, idx), to_jsonb(p) FROM {backup_part} p JOIN {backup_task} t ON t.id = p.task_id WHERE backup_id = $1
		UNION ALL SELECT 4, seq, to_jsonb(e) FROM {backup_event} e WHERE backup_id = $1) x`), id).Scan(&raw))
	require.NoError(b, json.Unmarshal(raw, &rows))
	for _, row := range rows {
		normalize(row)
	}
	return rows
}

// normalize replaces instants, ids, and what contains them by whether they are
// there at all.
func normalize(row map[string]any) {
	for name, value := range row {
		switch v := value.(type) {
		case []any:
			for _, e := range v {
				if inner, ok := e.(map[string]any); ok {
					normalize(inner)
				}
			}
		case map[string]any:
			normalize(v)
		case nil:
		default:
			for _, own := range []string{"_at", "At", "_id", "_until", "token", "key", "manifest"} {
				if strings.HasSuffix(name, own) || name == "id" {
					row[name] = "set"
				}
			}
		}
	}
}

// What is written in a group is what the general way writes, after each step.
func TestGroupsAreAsTheGeneralWay(t *testing.T) {
	b := setup(t)
	group, general := b, *b
	general.ledger = b.ledger.General()
	for name, c := range map[string]struct {
		planned int64
		before  func(b *bundle, id string) // of the claim that counts
		source  backup.Source
		parts   []int64
	}{
		"a part":             {planned: -1, source: backup.Source{Validator: `"v"`, ContentType: "text/plain", Size: 10, SHA256: bytes.Repeat([]byte{7}, 32)}, parts: []int64{10}},
		"size unknown":       {planned: 12, source: backup.Source{Size: -1}, parts: []int64{4, 5}},
		"empty":              {planned: -1, source: backup.Source{Size: 0}},
		"after failures":     {planned: -1, source: backup.Source{Size: 3}, parts: []int64{3}, before: failTwice},
		"after being handed": {planned: 3, source: backup.Source{Size: 3}, parts: []int64{3}, before: handOver},
	} {
		t.Run(name, func(t *testing.T) {
			works := make(map[*bundle]*backup.TaskWork)
			ids := make(map[*bundle]string)
			both := func(step string, do func(b *bundle, id string)) {
				for _, way := range []*bundle{group, &general} {
					do(way, ids[way])
				}
				require.Equal(t, general.rows(ids[&general]), group.rows(ids[group]), step)
			}
			both("start", func(b *bundle, _ string) { ids[b] = b.start().ID })
			both("plan", func(b *bundle, id string) {
				w, err := b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
				require.NoError(t, err)
				require.NoError(t, b.ledger.FinishPlan(b.ctx, w.Lease, []backup.Planned{{Provider: "db", Size: c.planned}, {Provider: "site", Size: -1}}))
			})
			if c.before != nil {
				both("before", c.before)
			}
			both("claim", func(b *bundle, id string) { works[b] = b.claim(id, "db") })
			requireSameWork(t, works[&general], works[group])
			c.source.Took = time.Hour
			both("open", func(b *bundle, id string) {
				require.NoError(t, b.ledger.OpenTask(b.ctx, works[b], c.source))
				var began time.Duration
				require.NoError(t, b.pool.QueryRow(b.ctx, b.in(`SELECT now() - capture_started_at FROM {backup_task} WHERE backup_id = $1 AND provider = 'db'`), id).Scan(&began))
				require.InDelta(t, time.Hour.Minutes(), began.Minutes(), 5, "the capture began when the source was asked")
			})
			requireSameWork(t, works[&general], works[group])
			both("gate", func(b *bundle, _ string) {
				require.NoError(t, b.ledger.GateTask(b.ctx, works[b], content(works[b], c.parts...), backup.ProofFraming))
			})
			both("finish", func(b *bundle, _ string) { require.NoError(t, b.ledger.FinishTask(b.ctx, works[b].Lease)) })
			both("the last", func(b *bundle, id string) { b.finish(id, "site") })
			both("seal", func(b *bundle, id string) { b.seal(id) })
			b.requireState(ids[group], backup.StateDone, states{"db": backup.TaskDone, "site": backup.TaskDone})
		})
	}
}

func requireSameWork(t *testing.T, want, got *backup.TaskWork) {
	t.Helper()
	require.Equal(t, got.Task.ID, got.TaskID)
	require.Equal(t, got.Backup.ID, got.BackupID)
	require.Equal(t, want.Validator, got.Validator)
	require.Equal(t, want.Cursor, got.Cursor)
	require.Equal(t, want.SHA256, got.SHA256)
	require.Equal(t, want.Checkpoint, got.Checkpoint)
	require.Equal(t, want.Task.State, got.Task.State)
	require.Equal(t, want.Task.Attempt, got.Task.Attempt)
	require.Equal(t, want.Task.ContentType, got.Task.ContentType)
	require.Equal(t, want.Backup.State, got.Backup.State)
	require.Contains(t, got.Task.ObjectKey, got.UploadID.String())
}

func failTwice(b *bundle, id string) {
	for _, cause := range []error{backup.Retryable(errTest, "look"), errTest} {
		b.fail(b.claim(id, "db"), cause)
	}
}

func handOver(b *bundle, id string) {
	require.NoError(b, b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: b.claim(id, "db").Lease}))
}

// Many tasks of one backup go through all their steps at once, in a process each,
// in groups and in the general way: no event number is skipped or given twice,
// and the counter is exact.
func TestManyStepsAtOnce(t *testing.T) {
	b := setup(t)
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	providers := make([]string, 12)
	for i := range providers {
		providers[i] = fmt.Sprintf("p%d", i)
	}
	for range rounds {
		id := b.start().ID
		b.plan(id, providers...)
		args, jobs := make([]backup.TaskArgs, len(providers)), make([]int64, len(providers))
		for i, p := range providers {
			args[i], jobs[i] = b.taskArgs(id, p), b.job(id, p)
		}
		errs := make([]error, len(providers))
		var wg sync.WaitGroup
		for i := range providers {
			ledger := b.another()
			if rand.N(3) == 0 {
				ledger = ledger.General()
			}
			wg.Go(func() {
				errs[i] = work(b, ledger, args[i], jobs[i])
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, backup.StateSealing, b.get(id).State)
		events, err := b.client.Events(b.ctx, id, 0, 1000)
		require.NoError(t, err)
		require.Len(t, events, 1+12+1+3*12+1)
		for i, e := range events {
			require.EqualValues(t, i+1, e.Seq)
		}
		require.Equal(t, 1, b.count(`SELECT count(*) FROM {river_job} WHERE kind = 'backup_seal' AND args->>'backup_id' = $1`, id))
	}
	b.requireSound()
}

// work takes a task from pending to done.
func work(b *bundle, l *backup.Ledger, a backup.TaskArgs, job int64) error {
	w, err := l.ClaimTask(b.ctx, a, claim(job))
	if err != nil {
		return err
	}
	if err := l.OpenTask(b.ctx, w, backup.Source{Size: 10}); err != nil {
		return err
	}
	if err := l.GateTask(b.ctx, w, content(w, 10), backup.ProofLength); err != nil {
		return err
	}
	return l.FinishTask(b.ctx, w.Lease)
}

// What a group isn't for, it leaves alone.
func TestGroupsAreGuarded(t *testing.T) {
	b := setup(t)
	id, other, pending := b.start().ID, b.start().ID, b.start().ID
	b.plan(id, "db", "site")
	b.plan(other, "db")
	before := b.snapshot()
	a, job := b.taskArgs(id, "db"), b.job(id, "db")
	strangers := a
	strangers.BackupID = other
	var idle *backup.IdleError
	_, err := b.ledger.ClaimTask(b.ctx, a, claim(b.job(id, "site")))
	require.ErrorAs(t, err, &idle, "another River job's")
	_, err = b.ledger.ClaimTask(b.ctx, strangers, claim(job))
	require.ErrorAs(t, err, &idle, "another backup's")
	_, err = b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
	require.ErrorAs(t, err, &idle, "planned before")
	_, err = b.ledger.ClaimPlan(b.ctx, pending, claim(job))
	require.ErrorAs(t, err, &idle, "a task's River job")
	_, err = b.ledger.ClaimSeal(b.ctx, pending, claim(b.job(pending, "")))
	require.ErrorAs(t, err, &idle, "not planned yet")
	require.Equal(t, before, b.snapshot())

	zombie := b.claim(id, "db")
	b.gate(zombie)
	b.expire()
	w := b.claim(id, "db")
	before = b.snapshot()
	require.ErrorIs(t, b.ledger.FinishTask(b.ctx, zombie.Lease), backup.ErrLeaseLost)
	require.Equal(t, before, b.snapshot())
	require.NoError(t, b.ledger.FinishTask(b.ctx, w.Lease))
	require.ErrorIs(t, b.ledger.FinishTask(b.ctx, w.Lease), backup.ErrLeaseLost, "once")
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskDone, "site": backup.TaskPending})
}

// A zombie that planned or sealed finds in a group, too, that it has lost its lease.
func TestGroupsAreGuardedAgainstZombies(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	twice := func(claimStep func(context.Context, string, backup.ClaimParams) (*backup.StepWork, error)) (zombie, live *backup.StepWork) {
		zombie, err := claimStep(b.ctx, id, claim(b.job(id, "")))
		require.NoError(t, err)
		b.expire()
		live, err = claimStep(b.ctx, id, claim(b.job(id, "")))
		require.NoError(t, err)
		return zombie, live
	}
	zombie, live := twice(b.ledger.ClaimPlan)
	before := b.snapshot()
	require.ErrorIs(t, b.ledger.FinishPlan(b.ctx, zombie.Lease, planned("db")), backup.ErrLeaseLost)
	require.Equal(t, before, b.snapshot())
	require.NoError(t, b.ledger.FinishPlan(b.ctx, live.Lease, planned("db")))
	b.finish(id, "db")

	zombie, live = twice(b.ledger.ClaimSeal)
	before = b.snapshot()
	_, _, err := b.ledger.SaveManifest(b.ctx, zombie)
	require.ErrorIs(t, err, backup.ErrLeaseLost)
	require.ErrorIs(t, b.ledger.FinishSeal(b.ctx, zombie.Lease), backup.ErrLeaseLost)
	require.Equal(t, before, b.snapshot())
	_, _, err = b.ledger.SaveManifest(b.ctx, live)
	require.NoError(t, err)
	require.NoError(t, b.ledger.FinishSeal(b.ctx, live.Lease))
	b.requireState(id, backup.StateDone, states{"db": backup.TaskDone})
}

// A journal's write as one statement is what the general way writes, and what
// doesn't fit is refused alike.
func TestJournalIsAsTheGeneralWay(t *testing.T) {
	b := setup(t)
	other := *b
	other.ledger = b.ledger.General()
	ways := []*bundle{b, &other}
	var works []*backup.TaskWork
	for _, way := range ways {
		id := way.start().ID
		way.plan(id, "db", "site")
		w := way.claim(id, "db")
		require.NoError(t, way.ledger.OpenTask(way.ctx, w, backup.Source{Validator: `"v"`, Size: -1}))
		works = append(works, w)
	}
	write := func(first int, offset int64, sizes ...int64) (errs []string) {
		for i, way := range ways {
			c := &blob.Checkpoint{Parts: parts(works[i], first, sizes...), Offset: offset, SHA256: []byte{byte(first)}, Cursor: "c"}
			err := way.ledger.JournalTask(way.ctx, works[i], c, false)
			errs = append(errs, fmt.Sprint(err))
		}
		require.Equal(t, errs[1], errs[0])
		require.Equal(t, other.rows(works[1].BackupID), b.rows(works[0].BackupID))
		return errs
	}
	require.Equal(t, "<nil>", write(0, 9, 4, 5)[0])
	require.Equal(t, "<nil>", write(2, 15, 6)[0])
	before := b.snapshot()
	require.Contains(t, write(2, 21, 6)[0], "don't follow", "the same parts again")
	require.Contains(t, write(4, 21, 6)[0], "don't follow", "a gap")
	require.Contains(t, write(3, 20, 6)[0], "don't follow", "a wrong offset")
	for _, w := range works {
		w.Token = token()
	}
	require.Contains(t, write(3, 21, 6)[0], backup.ErrLeaseLost.Error())
	require.Equal(t, before, b.snapshot())
	b.requireSound()
}
