package backup_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// A schedule that goes takes none of its backups with it: its policy and its zone go on to
// hold, and so does the default for one that has none, by itself.
func TestRetentionOfGoneSchedules(t *testing.T) {
	for name, drop := range map[string]func(b *bundle, id string){
		"deleted": func(b *bundle, id string) {
			b.exec("UPDATE {backup_schedule} SET declared = false")
			require.NoError(b, b.client.DeleteSchedule(b.ctx, id, 0))
		},
		"declared no more": func(b *bundle, _ string) {
			done, err := b.client.DeclareSchedules(b.ctx, nil)
			require.NoError(b, err)
			require.Equal(b, backup.Declared{Deleted: 1}, done)
		},
	} {
		for policy, p := range map[string]*retention.Policy{"its own": {KeepMonthly: 12}, "none": nil} {
			t.Run(name+", policy "+policy, func(t *testing.T) {
				b := setup(t, retaining(retention.Policy{KeepLast: 1}))
				id := b.schedule("", p, func(p *backup.ScheduleParams) { p.Declared = true })
				kept := 1
				if p != nil {
					kept = 11
				}
				for i := range kept {
					b.store(aged{age: time.Duration(i)*31*day + time.Hour, schedule: id})
				}
				b.store(aged{age: time.Minute}) // nobody's, and the newest
				require.Zero(t, b.apply().Removed)
				drop(b, id)
				require.Zero(t, b.apply().Removed)
				b.store(aged{age: 0, schedule: id}) // it was under way
				require.Equal(t, 1, b.apply().Removed, "as if the schedule were there")
			})
		}
	}
}

// Where the server has no policy, that of a schedule that is gone goes on to be applied.
func TestRetentionOfGoneScheduleWithoutDefault(t *testing.T) {
	b := setup(t)
	id := b.schedule("", &retention.Policy{KeepLast: 1})
	old := b.store(aged{age: 2 * day, schedule: id})
	b.store(aged{age: day, schedule: id})
	require.NoError(t, b.client.DeleteSchedule(b.ctx, id, 0))
	b.apply()
	b.requireGoing(old)
}

// Whose backups are governed is found by the indexes, one row at a time, among many schedules
// that have a policy and many that are gone and had none.
func TestRetentionFindsGovernedPairs(t *testing.T) {
	b := setup(t)
	manySchedules(t, b.pool, pgx.Identifier{b.schema}.Sanitize(), 20_000, caseDay)
	b.exec(`UPDATE {backup_schedule} SET retention = jsonb_build_object('keepLast', 1) WHERE substr(site_id, 2)::int % 2 = 0`)
	b.exec(`INSERT INTO {backup_schedule_gone} (id, user_id, site_id, time_zone, retention, deleted_at)
		SELECT gen_random_uuid(), 'u', 's' || g, 'UTC', CASE WHEN g > 20000 THEN jsonb_build_object() END, now() FROM generate_series(1, 20100) g`)
	b.exec(`VACUUM ANALYZE {backup_schedule}, {backup_schedule_gone}`)
	rows, err := b.pool.Query(b.ctx, b.in("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "+strings.ReplaceAll(backup.GovernedPairsQuery(), "{{schema}}", pgx.Identifier{b.schema}.Sanitize())),
		pgx.NamedArgs{"after_user": "", "after_site": "", "limit": 150})
	require.NoError(t, err)
	plan := collect(b, rows)
	require.Contains(t, plan[0], "rows=150")
	read := regexp.MustCompile(`(?:rows=|Filter: )(\d+)`)
	for _, line := range plan {
		if n := read.FindStringSubmatch(line); n != nil {
			require.LessOrEqual(t, len(n[1]), 3, "hundreds of rows, and not thousands, in:\n%s", strings.Join(plan, "\n"))
		}
	}
}

// What is known of a schedule that is gone is kept as long as a backup of it.
func TestGoneSchedulesArePruned(t *testing.T) {
	b := setup(t)
	with, without := b.schedule("with", nil), b.schedule("without", nil)
	b.store(aged{age: day, schedule: with})
	require.NoError(t, b.client.DeleteSchedule(b.ctx, with, 0))
	require.NoError(t, b.client.DeleteSchedule(b.ctx, without, 0))
	prune := func(want int) {
		done, _, err := b.ledger.Prune(b.ctx, 100)
		require.NoError(t, err)
		require.Equal(t, want, done.Schedules)
	}
	prune(1)
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_schedule_gone} WHERE id = $1", with))
	b.exec("DELETE FROM {backup}")
	prune(1)
	require.Zero(t, b.count("SELECT count(*) FROM {backup_schedule_gone}"))
}

// A call goes no further than some hundred removals, and the next one goes on with the
// pair in which it ended.
func TestRetentionIsBounded(t *testing.T) {
	b := setup(t, retaining(retention.Policy{KeepLast: 1}))
	b.exec(`INSERT INTO {backup} (id, user_id, site_id, state, created_at, finished_at, error)
		SELECT gen_random_uuid(), $1, 's' || g % 2, 'failed', at, at, 'x' FROM generate_series(1, 1100) g, (SELECT now() - interval '30 days' AS at) t`, userID)
	at, removed, calls := backup.Pair{}, 0, 0
	for next := &at; next != nil; calls++ {
		done, err := b.ledger.ApplyRetention(b.ctx, *next, 100)
		require.NoError(t, err)
		require.LessOrEqual(t, done.Removed, 500)
		removed, next = removed+done.Removed, done.Next
	}
	require.Equal(t, 1100, removed)
	require.Equal(t, 3, calls)
}

// Of a pair that has very many backups more are removed at once, since all of them are
// locked and read each time.
func TestRetentionOfManyBackups(t *testing.T) {
	b := setup(t, retaining(retention.Policy{KeepLast: 1}))
	b.exec(`INSERT INTO {backup} (id, user_id, site_id, state, created_at, finished_at, error)
		SELECT gen_random_uuid(), $1, 's', 'failed', at, at, 'x' FROM generate_series(1, 20000), (SELECT now() - interval '30 days' AS at) t`, userID)
	done, err := b.ledger.ApplyRetention(b.ctx, backup.Pair{}, 100)
	require.NoError(t, err)
	require.GreaterOrEqual(t, done.Removed, 500)
	require.LessOrEqual(t, b.count(`SELECT count(DISTINCT xmin::text) FROM {backup} WHERE state = 'deleting'`), 6, "transactions")
}

// Of several tenants with policies, schedules and histories by chance, each loses just what
// it loses where there is no other.
func TestRetentionOfRandomTenants(t *testing.T) {
	t.Parallel()
	const tenants = 4
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	removed := func(tenants ...int) map[string]bool {
		b := setupHere(t, retaining(retention.Policy{KeepLast: 2}))
		names := make(map[string]string)
		for _, n := range tenants {
			b.randomTenant(rand.New(rand.NewPCG(seed, uint64(n))), fmt.Sprint("user-", n), names)
		}
		b.apply()
		rows, err := b.pool.Query(b.ctx, b.in(`SELECT id::text FROM {backup} WHERE state = 'deleting'`))
		require.NoError(t, err)
		gone := make(map[string]bool)
		for _, id := range collect(b, rows) {
			gone[names[id]] = true
		}
		return gone
	}
	alone := make(map[string]bool)
	all := make([]int, tenants)
	for n := range tenants {
		all[n] = n
		maps.Copy(alone, removed(n))
	}
	require.NotEmpty(t, alone)
	require.Equal(t, alone, removed(all...))
}

// randomTenant has three schedules, one of which may be gone, and a dozen backups; names are
// those of the backups, which are the same wherever it is made.
func (b *bundle) randomTenant(r *rand.Rand, user string, names map[string]string) {
	var schedules []string
	for i := range 3 {
		var p *retention.Policy
		if i > 0 {
			p = &retention.Policy{KeepLast: 1 + r.IntN(3), AtLeast: r.IntN(3)}
		}
		schedules = append(schedules, b.schedule(fmt.Sprint(i), p, func(p *backup.ScheduleParams) { p.UserID = user }))
	}
	for i := range 12 {
		s := aged{user: user, age: time.Duration(1+10*i+r.IntN(10)) * day, corrupt: r.IntN(5) == 0}
		if k := r.IntN(4); k < 3 {
			s.schedule = schedules[k]
		}
		names[b.store(s)] = fmt.Sprint(user, " ", i)
	}
	if r.IntN(2) == 0 {
		require.NoError(b, b.client.DeleteSchedule(b.ctx, schedules[1], 0))
	}
}
