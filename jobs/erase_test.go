package jobs

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// tinySetup has two providers whose exports are made on the spot, for any user.
func tinySetup(store func(*testing.T) blob.Store) setupOptions {
	return setupOptions{store: store, config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "site", Provider: tiny{}}, {Name: "db", Provider: tiny{}}}
	}}
}

func of(user, site string) func(*backup.StartParams) {
	return func(p *backup.StartParams) { p.UserID, p.SiteID = user, site }
}

// requireErased waits until the erasure has finished, and returns its receipt.
func (b *bundle) requireErased(id string) (e *backup.Erasure) {
	b.Helper()
	b.eventually("the erasure to finish", 60*time.Second, func() bool {
		var err error
		e, err = b.client.GetErasure(b.ctx, id)
		require.NoError(b, err)
		return e.FinishedAt != nil
	})
	return e
}

// requireUnnamed searches every row of every table for a name.
func (b *bundle) requireUnnamed(names ...string) {
	b.Helper()
	rows, err := b.pool.Query(b.ctx, "SELECT tablename FROM pg_tables WHERE schemaname = $1", b.schema)
	require.NoError(b, err)
	var tables []string
	for rows.Next() {
		var table string
		require.NoError(b, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(b, rows.Err())
	require.Contains(b, tables, "river_job")
	for _, table := range tables {
		for _, name := range names {
			require.Zero(b, b.count(`SELECT count(*) FROM {`+table+`} r WHERE position($1 IN to_jsonb(r)::text) > 0`, name), "%s names %s", table, name)
		}
	}
}

func (b *bundle) putSchedule(user, site string) {
	b.Helper()
	_, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: user, SiteID: site, Cron: "0 2 * * *"})
	require.NoError(b, err)
}

// below are the objects under a prefix.
func (b *bundle) below(prefix string) (n int, bytes int64) {
	b.Helper()
	for o, err := range b.store.List(b.ctx, prefix) {
		require.NoError(b, err)
		n, bytes = n+1, bytes+o.Size
	}
	return n, bytes
}

// Everything that is the user's goes, and what is left names nobody. Users whose
// names begin alike, or are alike once escaped, keep everything.
func TestErase(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(*testing.T) blob.Store{"fileblob": fileStore, "azureblob": azureStore} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, tinySetup(store))
			b.work()
			users := []string{"usr-1", "usr-10", "usr-1/b", "usr-1%2Fb", "usr"}
			ids := make(map[string]string)
			for _, user := range users {
				for _, site := range []string{"site-x", "site-y"} {
					b.putSchedule(user, site)
					ids[user+" "+site] = b.start(of(user, site))
				}
			}
			for _, id := range ids {
				require.Equal(t, backup.StateDone, b.wait(id).State)
			}
			gone, err := b.client.PutSchedule(b.ctx, backup.ScheduleParams{UserID: "usr-1", SiteID: "site-x", Name: "gone", Cron: "@daily"})
			require.NoError(t, err)
			require.NoError(t, b.client.DeleteSchedule(b.ctx, gone.ID, 0))
			b.put("usr-1/site-z/"+uuid.NewString()+"/site/"+uuid.NewString(), true) // of backups that
			b.put("usr-1/site-x/"+uuid.NewString()+"/manifest.json", true)          // no row tells of
			b.put("usr-1/stray", true)
			nested := "usr-1/u/s/" + uuid.NewString() + "/site/" + uuid.NewString() // of another installation
			b.put(nested, true)
			objects, bytes := b.below("usr-1/")
			require.Equal(t, 2*3+3+1, objects)
			all := len(b.keys())

			e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "usr-1"})
			require.NoError(t, err)
			require.Equal(t, "usr-1", e.UserID)
			require.True(t, e.WholeUser)
			again, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "usr-1"})
			require.NoError(t, err)
			require.Equal(t, e.ID, again.ID)
			e = b.requireErased(e.ID)
			require.EqualValues(t, 2, e.Backups)
			require.EqualValues(t, 2, e.Schedules)
			require.EqualValues(t, objects-1, e.Objects)
			require.EqualValues(t, bytes-int64(len("left over")), e.Bytes)
			require.Empty(t, e.UserID)

			require.Len(t, b.keys(), all-objects+1)
			require.Contains(t, b.keys(), nested)
			b.requireUnnamed(`"usr-1"`, "usr-1/site", ids["usr-1 site-x"], ids["usr-1 site-y"])
			for _, user := range users[1:] {
				for _, site := range []string{"site-x", "site-y"} {
					id := ids[user+" "+site]
					got, err := b.client.Get(b.ctx, id)
					require.NoError(t, err)
					require.Equal(t, backup.StateDone, got.State)
					b.read(got.ManifestKey)
					require.NotZero(t, b.count(`SELECT count(*) FROM {river_job} WHERE tags @> ARRAY[$1::varchar]`, "backup-"+id))
				}
			}
			require.Equal(t, 8, b.count("SELECT count(*) FROM {backup_schedule}"))
			id := b.start(of("usr-1", "site-x")) // begins afresh
			require.Equal(t, backup.StateDone, b.wait(id).State)
		})
	}
}

// One site goes, and the user's others stay.
func TestEraseSite(t *testing.T) {
	b := setup(t, tinySetup(nil))
	stop := b.work()
	gone, stays := b.start(of("u", "site-one")), b.start(of("u", "site-one1"))
	b.wait(gone)
	b.wait(stays)
	stop()
	b.putSchedule("u", "site-one")
	b.putSchedule("u", "site-one1")
	b.put("u/site-one/"+uuid.NewString()+"/site/"+uuid.NewString(), true)
	// Requests of another language's client: one for each site, of which the first
	// would run in a year.
	for _, site := range []string{"site-one", "site-one1"} {
		b.exec(`INSERT INTO {river_job} (args, kind, max_attempts, queue, state, scheduled_at) VALUES (jsonb_build_object('user_id', 'u', 'site_id', $1::text), 'backup', 25, 'default', 'scheduled', now() + interval '1 year')`, site)
		b.exec(`INSERT INTO {river_job} (args, kind, max_attempts, queue, state, scheduled_at) VALUES (jsonb_build_object('user_id', 'u', 'site_id', $1::text), 'newsletter', 25, 'theirs', 'scheduled', now() + interval '1 year')`, site)
	}
	b.exec(`INSERT INTO {river_job} (kind, args, max_attempts, queue, state, metadata, finalized_at) VALUES ('backup_retention', jsonb_build_object(), 5, 'backup', 'discarded', $1, now())`,
		map[string]any{"output": map[string]any{"after": backup.Pair{UserID: "u", SiteID: "site-one"}}})
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "u", SiteID: "site-one"})
	require.NoError(t, err)
	require.False(t, e.WholeUser)
	b.work()
	e = b.requireErased(e.ID)
	require.EqualValues(t, []int64{1, 1, 4}, []int64{e.Backups, e.Schedules, e.Objects})
	require.Empty(t, e.SiteID)
	got, err := b.client.Get(b.ctx, stays)
	require.NoError(t, err)
	require.Equal(t, backup.StateDone, got.State)
	require.Len(t, b.keys(), 3)
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_schedule}"))
	require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup' AND args->>'site_id' = 'site-one1'"))
	require.Zero(t, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup' AND args->>'site_id' = 'site-one'"))
	require.Equal(t, 2, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'newsletter'"), "not ours")
	require.Zero(t, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_retention' AND state = 'discarded'"))
}

// Objects that have the key of an earlier release, which left an id's last dot, are
// found, too.
func TestEraseUnderEarlierSpelling(t *testing.T) {
	b := setup(t, tinySetup(nil))
	orphan := func(tenant string) string {
		key := tenant + uuid.NewString() + "/site/" + uuid.NewString()
		b.put(key, true)
		return key
	}
	orphan("acme./s./")
	orphan("acme%2E/s%2E/")
	stays := []string{orphan("acme/s/"), orphan("acme./s/"), orphan("acme%2E/s/")}
	b.work()
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "acme.", SiteID: "s."})
	require.NoError(t, err)
	require.EqualValues(t, 2, b.requireErased(e.ID).Objects)
	require.ElementsMatch(t, stays, b.keys())
	e, err = b.client.Erase(b.ctx, backup.EraseParams{UserID: "acme."})
	require.NoError(t, err)
	require.EqualValues(t, 2, b.requireErased(e.ID).Objects)
	require.Equal(t, stays[:1], b.keys())
}

// The erasure is interrupted behind each of its steps: the process is killed. The next
// one goes on; nothing is left behind, and nothing is counted twice or not at all.
func TestEraseKilledBehindEachStep(t *testing.T) {
	t.Parallel()
	steps := []string{
		"erase claim", "erase rows", "delete claim", "delete one manifest", "delete one object", "delete objects", "delete rows",
		"erase batch", "erase one object", "erase jobs", "erase finish",
	}
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			b := setup(t, setupOptions{store: fileStoreIn(dir), apis: siteAndDB(10 << 10)})
			stop := b.work()
			b.wait(b.start())
			stop()
			b.putSchedule(userID, siteID)
			open := b.start()
			b.exec("UPDATE {river_job} SET state = 'scheduled', scheduled_at = now() + interval '1 year' WHERE tags @> ARRAY[$1::varchar]", "backup-"+open)
			for range 3 {
				b.put(userID+"/"+siteID+"/"+uuid.NewString()+"/site/"+uuid.NewString(), true)
			}
			b.put(userID+"0/"+siteID+"/"+uuid.NewString()+"/manifest.json", true)
			objects, bytes := b.below(userID + "/")
			e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: userID})
			require.NoError(t, err)
			b.requireKilled(b.spawn(dir, step))
			b.abandoned()
			b.work()
			e = b.requireErased(e.ID)
			require.Equal(t, []int64{2, 1, int64(objects), bytes}, []int64{e.Backups, e.Schedules, e.Objects, e.Bytes})
			require.Len(t, b.keys(), 1)
			require.Len(t, files(t, dir), 2, "but the neighbor's object")
			b.eventually("River's job to end", 20*time.Second, func() bool {
				return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_erase' AND state = 'completed'") == 1
			})
			b.requireUnnamed(userID)
			for _, table := range []string{"backup", "backup_task", "backup_part", "backup_event", "backup_slot", "backup_key", "backup_schedule"} {
				require.Zero(t, b.count("SELECT count(*) FROM {"+table+"}"), table)
			}
		})
	}
}

// A River job that was deleted, or canceled, is replaced; and what a store says of
// why it can't delete is in the erasure alone.
func TestEraseIsNotLost(t *testing.T) {
	var rec *recorder
	var b *bundle
	broken := true
	b = setup(t, tinySetup(func(t *testing.T) blob.Store {
		rec = &recorder{Store: fileStore(t), fail: func(key string) error {
			if broken {
				return &blob.ThrottledError{After: time.Second, Err: busyError(key)}
			}
			return nil
		}}
		return rec
	}))
	b.put("somebody/s/"+uuid.NewString()+"/site/"+uuid.NewString(), true)
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "somebody"})
	require.NoError(t, err)
	stop := b.work()
	b.eventually("the error", 20*time.Second, func() bool {
		e, err = b.client.GetErasure(b.ctx, e.ID)
		require.NoError(t, err)
		return strings.Contains(e.Error, "busy")
	})
	stop()
	broken = false
	require.Zero(t, b.count("SELECT count(*) FROM {river_job} j WHERE kind = 'backup_erase' AND to_jsonb(j)::text LIKE '%somebody%'"))
	b.exec("DELETE FROM {river_job} WHERE kind = 'backup_erase'")
	b.work()
	e = b.requireErased(e.ID)
	require.EqualValues(t, 1, e.Objects)
	require.Empty(t, b.keys())
	data, err := json.Marshal(e)
	require.NoError(t, err)
	require.NotContains(t, string(data), "somebody")
}

// What a row tells of is no orphan: a process of the release before this one may have
// started a backup meanwhile, and its row is deleted in turn, with its objects.
func TestEraseSparesWhatHasRows(t *testing.T) {
	b := setup(t, tinySetup(nil))
	stop := b.work()
	id := b.start()
	b.requireCopy(b.wait(id))
	stop()
	stray := userID + "/" + siteID + "/" + uuid.NewString() + "/manifest.json"
	b.put(stray, true)
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: userID})
	require.NoError(t, err)
	_, w := b.riverClient()
	job := b.count("SELECT river_job_id FROM {backup_erasure}")
	work, err := w.ledger.BeginErasure(b.ctx, e.ID, int64(job))
	require.NoError(t, err)
	r := &erasureRun{w: w, work: work, until: now().Add(time.Minute)}
	done, err := r.objects(b.ctx)
	require.NoError(t, err)
	require.True(t, done)
	require.NotContains(t, b.keys(), stray)
	require.Len(t, b.keys(), 3)
	finished, err := w.ledger.FinishErasure(b.ctx, work)
	require.NoError(t, err)
	require.False(t, finished, "a backup is left")
	b.exec("DELETE FROM {backup}")
	b.putScheduleRow(userID)
	finished, err = w.ledger.FinishErasure(b.ctx, work)
	require.NoError(t, err)
	require.False(t, finished, "a schedule is left")
	done, err = r.rows(b.ctx)
	require.NoError(t, err)
	require.True(t, done)
	finished, err = w.ledger.FinishErasure(b.ctx, work)
	require.NoError(t, err)
	require.True(t, finished)
}

// putScheduleRow puts a schedule as a process does that doesn't know of erasures.
func (b *bundle) putScheduleRow(user string) {
	b.Helper()
	b.putSchedule("another", siteID)
	b.exec("UPDATE {backup_schedule} SET user_id = $1 WHERE user_id = 'another'", user)
}

// An object that can't be removed is what holds an erasure up, and the only one that
// is left.
func TestEraseBesideImmutable(t *testing.T) {
	var rec *recorder
	immutable := "somebody/a/" + uuid.NewString() + "/site/" + uuid.NewString()
	b := setup(t, tinySetup(func(t *testing.T) blob.Store {
		rec = &recorder{Store: fileStore(t), fail: func(key string) error {
			if key == immutable {
				return busyError(key)
			}
			return nil
		}}
		return rec
	}))
	b.put(immutable, true)
	for range 3 {
		b.put("somebody/s/"+uuid.NewString()+"/site/"+uuid.NewString(), true)
	}
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "somebody"})
	require.NoError(t, err)
	b.work()
	b.eventually("the others to be gone", 20*time.Second, func() bool {
		e, err = b.client.GetErasure(b.ctx, e.ID)
		require.NoError(t, err)
		return e.Error != ""
	})
	require.Equal(t, []string{immutable}, b.keys())
	require.Nil(t, e.FinishedAt)
	require.EqualValues(t, 4, e.Objects)
	require.Equal(t, 1, b.count("SELECT cardinality(batch) FROM {backup_erasure}"))
}

// A store that lets a few objects go at a time, and then fails, is asked for each of them
// until it is gone, and not for the first ones of a batch again and again.
func TestEraseBatchGoesOn(t *testing.T) {
	var rec *recorder
	var b *bundle
	left := 0
	b = setup(t, tinySetup(func(t *testing.T) blob.Store {
		rec = &recorder{Store: fileStore(t), fail: func(key string) error {
			if left--; left < 0 {
				return busyError(key)
			}
			return nil
		}}
		return rec
	}))
	const objects = 7
	for range objects {
		b.put("somebody/s/"+uuid.NewString()+"/site/"+uuid.NewString(), true)
	}
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "somebody"})
	require.NoError(t, err)
	for runs := 0; len(b.keys()) > 0; runs++ {
		require.Less(t, runs, objects, "each run comes further")
		left = 2
		b.exec("UPDATE {river_job} SET state = 'available', scheduled_at = now() WHERE kind = 'backup_erase' AND state = 'scheduled'")
		stop := b.work()
		b.eventually("a run to end", 20*time.Second, func() bool {
			return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_erase' AND state IN ('scheduled', 'completed')") == 1
		})
		stop()
	}
	b.exec("UPDATE {river_job} SET state = 'available', scheduled_at = now() WHERE kind = 'backup_erase' AND state = 'scheduled'")
	b.work()
	require.EqualValues(t, objects, b.requireErased(e.ID).Objects)
	require.Len(t, rec.deleted, objects, "each once")
}

type busyError string

func (e busyError) Error() string { return "busy with " + string(e) }
