package jobs

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/retention"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

const day = 24 * time.Hour

// tinyBackups are what setup needs for backups of two tiny exports each in memory.
func tinyBackups(policy *retention.Policy) setupOptions {
	return setupOptions{
		store: func(*testing.T) blob.Store { return memblob.New() },
		config: func(c *backup.Config) {
			c.Retention = policy
			c.Providers = []backup.ProviderConfig{{Name: "db", Provider: tiny{}}, {Name: "site", Provider: tiny{}}}
		},
	}
}

// age makes backups that have ended older than they are.
func (b *bundle) age(age time.Duration, ids ...string) {
	b.Helper()
	b.exec("UPDATE {backup} SET created_at = now() - $2::interval, finished_at = now() - $2::interval WHERE id = ANY ($1::uuid[])", ids, age)
}

// retain asks for a pass of retention.
func (b *bundle) retain(metadata ...byte) int64 {
	b.Helper()
	client, _ := b.riverClient()
	res, err := client.Insert(b.ctx, backup.RetentionArgs{}, &river.InsertOpts{Queue: backup.QueueControl, MaxAttempts: 1, Metadata: metadata})
	require.NoError(b, err)
	return res.Job.ID
}

// retained waits until the pass has ended well, and returns its output.
func (b *bundle) retained(job int64) (out retentionOutput) {
	b.Helper()
	client, _ := b.riverClient()
	b.eventually("the pass to end", 30*time.Second, func() bool {
		got, err := client.JobGet(b.ctx, job)
		require.NoError(b, err)
		if got.State != rivertype.JobStateCompleted {
			require.Empty(b, got.Errors)
			return false
		}
		require.NoError(b, json.Unmarshal(got.Output(), &out))
		return true
	})
	return out
}

// settled waits until nothing is being deleted any more.
func (b *bundle) settled() {
	b.Helper()
	b.eventually("deletions to end", time.Minute, func() bool {
		return b.count("SELECT count(*) FROM {backup} WHERE state = 'deleting'") == 0
	})
}

// requireExact checks that the store has the copies of the backups in the table, whole,
// and nothing else.
func (b *bundle) requireExact(ids ...string) {
	b.Helper()
	var want []string
	all, err := b.client.List(b.ctx, backup.ListParams{Limit: 200})
	require.NoError(b, err)
	var rows []string
	for _, each := range all {
		rows = append(rows, each.ID)
		got, err := b.client.Get(b.ctx, each.ID)
		require.NoError(b, err)
		m := b.requireCopy(got)
		want = append(want, got.ManifestKey)
		for _, o := range m.Objects {
			want = append(want, o.Key)
		}
	}
	require.ElementsMatch(b, ids, rows, "the rows that stay")
	require.ElementsMatch(b, want, b.keys(), "the objects that stay")
}

// From the policies to the store: what is to go is gone, rows and objects, and what is
// to stay is whole.
func TestRetention(t *testing.T) {
	b := setup(t, tinyBackups(&retention.Policy{KeepLast: 2}))
	stop := b.work()
	weekly, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: userID, SiteID: siteID, Name: "weekly", Cron: "@weekly", Retention: &retention.Policy{KeepLast: 1}})
	require.NoError(t, err)

	var kept []string
	add := func(age time.Duration, schedule string, keep bool, change ...func(*backup.StartParams)) string {
		id := b.start(change...)
		require.Equal(t, backup.StateDone, b.wait(id).State)
		b.exec("UPDATE {backup} SET schedule_id = nullif($2, '')::uuid WHERE id = $1", id, schedule)
		b.age(age, id)
		if keep {
			kept = append(kept, id)
		}
		return id
	}
	for i := range time.Duration(4) {
		add((i+1)*day, "", i < 2)
		add((i+1)*day+time.Hour, weekly.ID, i < 1)
	}
	held := add(10*day, "", true)
	_, err = b.client.Hold(b.ctx, held, "case 7")
	require.NoError(t, err)
	add(100*day, "", true, func(p *backup.StartParams) { p.UserID = "another" })
	stop()

	plan, err := b.client.PlanRetention(b.ctx, backup.PlanRetentionParams{})
	require.NoError(t, err)
	var planned []string
	for _, d := range plan.Decisions {
		if d.Keep {
			planned = append(planned, d.BackupID)
		}
	}
	require.ElementsMatch(t, kept, planned)

	job := b.retain()
	b.work()
	require.Equal(t, retentionOutput{Pairs: 2, Removed: 5}, b.retained(job))
	b.settled()
	b.requireExact(kept...)
	require.Equal(t, retentionOutput{Pairs: 2}, b.retained(b.retain()), "nothing is left to do")
}

// A pass goes on where its last spell has ended.
func TestRetentionGoesOn(t *testing.T) {
	b := setup(t, tinyBackups(&retention.Policy{KeepLast: 1}))
	b.work()
	for _, user := range []string{"a", "b", "c"} {
		b.wait(b.start(func(p *backup.StartParams) { p.UserID = user }))
	}
	out := b.retained(b.retain([]byte(`{"output": {"pairs": 7, "removed": 3, "after": {"userId": "a", "siteId": "` + siteID + `"}}}`)...))
	require.Equal(t, retentionOutput{Pairs: 9, Removed: 3}, out)
}

// What a worker writes for a backup that was deleted while it slept is found.
func TestRetentionFindsOrphans(t *testing.T) {
	b := setup(t, tinyBackups(nil))
	b.work()
	id, other := b.start(), b.start()
	b.wait(id)
	b.wait(other)
	_, err := b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	b.requireGone(id)
	b.put(prefixOf(id)+"site/upload", true)
	b.put(prefixOf(id)+"manifest.json", true)
	require.Zero(t, b.retained(b.retain()).Orphans, "its lease may last")

	for _, orphans := range []int{2, 0} {
		b.exec("UPDATE {backup_tombstone} SET due_at = now()")
		require.Equal(t, retentionOutput{Orphans: orphans}, b.retained(b.retain()))
		b.requireExact(other)
	}
	require.Zero(t, b.count("SELECT count(*) FROM {backup_tombstone}"))
}

// What the store won't let go of at one place doesn't keep the others, and is tried again
// an hour later.
func TestRetentionSweepsBesideErrors(t *testing.T) {
	var rec *recorder
	immutable := ""
	o := tinyBackups(nil)
	o.store = func(t *testing.T) blob.Store {
		rec = &recorder{Store: fileStore(t), fail: func(key string) error {
			if immutable != "" && strings.Contains(key, immutable) {
				return errors.New("immutable")
			}
			return nil
		}}
		return rec
	}
	b := setup(t, o)
	stop := b.work()
	ids := []string{b.start(), b.start()}
	for _, id := range ids {
		b.wait(id)
		_, err := b.client.Delete(b.ctx, id)
		require.NoError(t, err)
		b.requireGone(id)
		b.put(prefixOf(id)+"site/upload", true)
	}
	stop()
	immutable = ids[0]
	b.exec("UPDATE {backup_tombstone} SET due_at = now() - CASE WHEN backup_id = $1 THEN interval '1 hour' ELSE interval '1 minute' END", ids[0])
	job := b.retain()
	b.work()
	client, _ := b.riverClient()
	b.eventually("the pass to end", 30*time.Second, func() bool {
		got, err := client.JobGet(b.ctx, job)
		require.NoError(t, err)
		return got.State == rivertype.JobStateDiscarded
	})
	require.Equal(t, []string{prefixOf(ids[0]) + "site/upload"}, b.keys())
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_tombstone} WHERE backup_id = $1 AND swept = 0 AND due_at > now() + interval '50 minutes'", ids[0]))
}

// A pass that has more places of deleted backups to look at than it comes to in an hour
// leaves them to the next one: the pairs have their turn first.
func TestRetentionSweepsForAnHour(t *testing.T) {
	b := setup(t, tinyBackups(nil))
	b.exec("INSERT INTO {backup_tombstone} (backup_id, user_id, site_id, prefix, due_at) SELECT gen_random_uuid(), 'u', 's', '', now() FROM generate_series(1, 3)")
	w, err := New(b.client, nil)
	require.NoError(t, err)
	r := &retentionWorker{w: w}
	out := &retentionOutput{After: new(backup.Pair)}
	more, err := r.spell(b.ctx, out, now())
	require.NoError(t, err)
	require.True(t, more)
	require.WithinDuration(t, now(), *out.Swept, time.Minute)
	*out.Swept = out.Swept.Add(-time.Hour)
	more, err = r.spell(b.ctx, out, now())
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_tombstone} WHERE swept = 0"))
}

func TestHourly(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 10, 59, 59, 0, time.UTC)
	require.Equal(t, time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC), hourly{}.Next(at))
	require.Equal(t, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), hourly{}.Next(at.Add(time.Second)))
}

// One pass goes on at a time, and the next may follow when it has ended.
func TestRetentionUnique(t *testing.T) {
	b := setup(t, tinyBackups(nil))
	client, _ := b.riverClient()
	insert := func() (int64, bool) {
		args, opts := retainJob()
		res, err := client.Insert(b.ctx, args, opts)
		require.NoError(t, err)
		return res.Job.ID, res.UniqueSkippedAsDuplicate
	}
	first, skipped := insert()
	require.False(t, skipped)
	_, skipped = insert()
	require.True(t, skipped)
	b.work()
	b.retained(first)
	_, skipped = insert()
	require.False(t, skipped)
}
