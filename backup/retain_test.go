package backup_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

func collect(b *bundle, rows pgx.Rows) []string {
	b.Helper()
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b, err)
	return ids
}

// Each schedule keeps what its own policy says, or the default; what no schedule has
// started, and what was of one that is gone, is under the default together.
func TestRetentionOfOnePair(t *testing.T) {
	b := setup(t, retaining(retention.Policy{KeepLast: 1}))
	two := b.schedule("two", &retention.Policy{KeepLast: 2})
	plain := b.schedule("plain", nil)
	gone := b.schedule("gone", &retention.Policy{KeepLast: 1})
	require.NoError(t, b.client.DeleteSchedule(b.ctx, gone, 0))

	var keep, remove []string
	for i, to := range []*[]string{&keep, &keep, &remove, &remove} { // newest first
		*to = append(*to, b.store(aged{age: day + time.Duration(i)*time.Minute, schedule: two}))
	}
	for i, to := range []*[]string{&keep, &remove, &remove} {
		*to = append(*to, b.store(aged{age: 2*day + time.Duration(i)*time.Minute, schedule: plain}))
	}
	keep = append(keep, b.store(aged{age: 3 * day}))
	keep = append(keep, b.store(aged{age: 4 * day, schedule: gone}))
	remove = append(remove, b.store(aged{age: 5 * day, schedule: gone}), b.store(aged{age: 5 * day}))

	held := b.store(aged{age: 30 * day})
	_, err := b.client.Hold(b.ctx, held, "case 7")
	require.NoError(t, err)
	keep = append(keep, held,
		b.store(aged{age: 6 * day, state: backup.StateFailed}),
		b.store(aged{age: 6 * day, corrupt: true}),
		b.start().ID)
	remove = append(remove,
		b.store(aged{age: 8 * day, state: backup.StateFailed}),
		b.store(aged{age: 8 * day, state: backup.StateCanceled}),
		b.store(aged{age: 8 * day, corrupt: true}))
	// The others' have nothing newer, whatever the ids of their sites are.
	keep = append(keep,
		b.store(aged{user: "another", age: 400 * day}),
		b.store(aged{site: "another", age: 400 * day}),
		b.store(aged{user: userID + "x", site: "x", age: 400 * day, corrupt: true}))
	underway := b.store(aged{age: 9 * day})
	_, err = b.client.Delete(b.ctx, underway)
	require.NoError(t, err)

	plan, err := b.client.PlanRetention(b.ctx, backup.PlanRetentionParams{})
	require.NoError(t, err)
	require.Nil(t, plan.Next)
	require.Len(t, plan.Decisions, len(keep)+len(remove)+1)
	for _, d := range plan.Decisions {
		require.Equal(t, slices.Contains(keep, d.BackupID), d.Keep, "%+v", d)
		require.NotEmpty(t, d.Reasons)
		require.Equal(t, b.get(d.BackupID).State, d.State)
	}
	b.requireGoing(underway) // a plan does nothing

	require.Equal(t, backup.Applied{Pairs: 4, Removed: len(remove)}, b.apply())
	b.requireGoing(append(remove, underway)...)
	events := b.events(remove[0])
	require.Equal(t, []string{`UpdateUploadJob {"state": "deleting"}`}, events)
	require.Equal(t, backup.Applied{Pairs: 4}, b.apply(), "a second pass has nothing to do")
	b.requireGoing(append(remove, underway)...)
}

// The newest good copy of each provider stays when every policy would let it go, and so
// does an older one when the newest is found damaged.
func TestRetentionKeepsNewestGoodCopies(t *testing.T) {
	short := retention.Policy{KeepWithin: retention.Duration(day)}
	b := setup(t, retaining(short))
	of := b.schedule("short", &short)
	oldest := b.store(aged{age: 40 * day, providers: []string{"db", "site"}})
	site := b.store(aged{age: 30 * day, providers: []string{"site"}, schedule: of})
	good := b.store(aged{age: 20 * day, providers: []string{"db"}})
	damaged := b.store(aged{age: 2 * day, providers: []string{"db", "site"}, corrupt: true})
	require.Equal(t, 1, b.apply().Removed)
	b.requireGoing(oldest)

	plan, err := b.client.PlanRetention(b.ctx, backup.PlanRetentionParams{})
	require.NoError(t, err)
	reasons := make(map[string][]string)
	for _, d := range plan.Decisions {
		reasons[d.BackupID] = d.Reasons
	}
	require.Equal(t, map[string][]string{
		oldest: {"deleting"}, site: {"newest-good:site"}, good: {"newest-good:db"},
		damaged: {"corrupt-recent", "no-newer-good:db", "no-newer-good:site"},
	}, reasons)
}

// Two processes at once remove each backup once, and together no more than one would.
func TestRetentionInTwoProcesses(t *testing.T) {
	b := setup(t, retaining(retention.Policy{KeepLast: 3}))
	var all []string
	for i := range 123 { // three transactions
		all = append(all, b.store(aged{age: day + time.Duration(i)*time.Second}))
	}
	ledgers := []*backup.Ledger{b.ledger, b.another(retaining(retention.Policy{KeepLast: 3}))}
	done, errs := make([]backup.Applied, 2), make([]error, 2)
	var wg sync.WaitGroup
	for i, l := range ledgers {
		wg.Go(func() { done[i], errs[i] = l.ApplyRetention(b.ctx, backup.Pair{}, 10) })
	}
	wg.Wait()
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	removed := done[0].Removed + done[1].Removed + b.apply().Removed
	require.Equal(t, 120, removed)
	b.requireGoing(all[3:]...)
	b.requireSound()
}

// What a verification is about to say of the newest backup is heeded, and nobody waits
// for it: not the other pairs, either.
func TestRetentionBesideVerify(t *testing.T) {
	b := setup(t, retaining(retention.Policy{KeepLast: 1}))
	older, newest := b.store(aged{age: 2 * day}), b.store(aged{age: day})
	oldest := b.store(aged{age: 3 * day})
	other := b.store(aged{user: "other", age: 2 * day})
	b.store(aged{user: "other", age: day})

	tx := b.begin()
	_, err := tx.Exec(b.ctx, b.in("UPDATE {backup} SET corrupt_at = now() WHERE id = $1"), newest)
	require.NoError(t, err)
	require.Equal(t, 2, b.apply().Removed)
	b.requireGoing(oldest, other)
	require.NoError(t, tx.Commit(b.ctx))
	require.Zero(t, b.apply().Removed)
	require.Equal(t, backup.StateDone, b.get(older).State, "it is the newest good one")
}

// A hold, and a policy that is made longer, count from when they are written, and not
// only when their transactions end.
func TestRetentionBesideOpenTransactions(t *testing.T) {
	b := setup(t)
	id := b.schedule("s", &retention.Policy{KeepLast: 1})
	held, going := b.store(aged{age: 3 * day, schedule: id}), b.store(aged{age: 2 * day, schedule: id})
	b.store(aged{age: day, schedule: id})

	tx := b.begin()
	_, err := b.client.PutScheduleTx(b.ctx, tx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Name: "s", Cron: "@daily", Retention: &retention.Policy{KeepLast: 3}})
	require.NoError(t, err)
	require.Equal(t, backup.Applied{Pairs: 1, Left: 1}, b.apply())
	require.NoError(t, tx.Rollback(b.ctx))

	tx = b.begin()
	_, err = b.client.HoldTx(b.ctx, tx, held, "case 7")
	require.NoError(t, err)
	require.Equal(t, backup.Applied{Pairs: 1, Removed: 1}, b.apply())
	require.NoError(t, tx.Commit(b.ctx))
	require.Zero(t, b.apply().Removed)
	b.requireGoing(going)
}

// A failed backup with a task that is committing yet can't be deleted: it stays, and the
// pair's others aren't kept by it.
func TestRetentionWaitsForTasks(t *testing.T) {
	b := setup(t, retaining(retention.Policy{KeepLast: 1}))
	committing := b.store(aged{age: 30 * day, state: backup.StateFailed})
	b.exec("UPDATE {backup} SET open_tasks = 1 WHERE id = $1", committing)
	old := b.store(aged{age: 29 * day, state: backup.StateCanceled})
	require.Equal(t, backup.Applied{Pairs: 1, Removed: 1}, b.apply())
	b.requireGoing(old)
	b.exec("UPDATE {backup} SET open_tasks = 0 WHERE id = $1", committing)
	require.Equal(t, backup.Applied{Pairs: 1, Removed: 1}, b.apply())
	b.requireGoing(old, committing)
}

// Without a default only pairs are looked at that have a schedule with a policy.
func TestRetentionWithoutDefault(t *testing.T) {
	b := setup(t)
	b.schedule("none", nil, func(p *backup.ScheduleParams) { p.SiteID = "none" })
	for i := range 3 {
		b.store(aged{age: day + time.Duration(i)*time.Minute})
		b.store(aged{site: "none", age: day + time.Duration(i)*time.Minute})
	}
	require.Equal(t, backup.Applied{}, b.apply())
	id := b.schedule("one", &retention.Policy{KeepLast: 1})
	b.store(aged{age: day, schedule: id})
	old := b.store(aged{age: 2 * day, schedule: id})
	require.Equal(t, backup.Applied{Pairs: 1, Removed: 1}, b.apply())
	b.requireGoing(old)
}

// A policy that this release can't read keeps everything.
func TestRetentionUnreadable(t *testing.T) {
	t.Parallel()
	for name, set := range map[string][2]string{
		"a rule of the release behind it": {"retention", `{"keepLast": 1, "keepLunar": 3}`},
		"no rule":                         {"retention", `{}`},
		"a zone":                          {"time_zone", "Europe/Atlantis"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, retaining(retention.Policy{KeepLast: 1}))
			id := b.schedule("s", &retention.Policy{KeepLast: 1})
			for i := range 3 {
				b.store(aged{age: day + time.Duration(i)*time.Minute, schedule: id})
			}
			b.exec("UPDATE {backup_schedule} SET "+set[0]+" = $1", set[1])
			require.Equal(t, backup.Applied{Pairs: 1}, b.apply())
		})
	}
}

// A pause leaves the rules in a policy that this release doesn't know.
func TestPauseKeepsPolicy(t *testing.T) {
	b := setup(t)
	id := b.schedule("s", &retention.Policy{KeepLast: 1})
	b.exec("UPDATE {backup_schedule} SET retention = retention || jsonb_build_object('keepLunar', 3)")
	_, err := b.client.PauseSchedule(b.ctx, id, true)
	require.NoError(t, err)
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_schedule} WHERE paused_at IS NOT NULL AND retention = jsonb_build_object('keepLast', 1, 'keepLunar', 3)"))
}

func TestRetentionConfig(t *testing.T) {
	t.Parallel()
	_, err := backup.New(&backup.Config{Retention: &retention.Policy{}})
	require.ErrorContains(t, err, "Retention: policy must keep something")
}
