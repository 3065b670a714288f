package jobs

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func siteAndDB(size int64) []export.Options {
	return []export.Options{{Name: "site", Size: size}, {Name: "db", Size: size/2 + 1}}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(*testing.T) blob.Store{"fileblob": fileStore, "azureblob": azureStore} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, setupOptions{store: store, apis: siteAndDB(3<<20 + 17)})
			b.work()
			id := b.start()
			got := b.wait(id)
			m := b.requireCopy(got)
			require.Equal(t, backup.ProofLength, m.Objects[1].Proof)
			require.Equal(t, "application/x-tar", m.Objects[1].ContentType)
			require.Len(t, m.Objects[1].Parts, 49)
			require.Len(t, b.keys(), 3, "two objects and the manifest")
			b.requireSound()

			b.eventually("the task's output", 10*time.Second, func() bool {
				return b.count(`SELECT count(*) FROM {river_job} WHERE kind = 'backup_task_site' AND state = 'completed'
					AND metadata->'output'->>'bytes' = $1 AND metadata->'output'->>'object' = $2`, fmt.Sprint(3<<20+17), m.Objects[1].Key) == 1
			})
			b.eventually("the seal's output", 10*time.Second, func() bool {
				return b.count(`SELECT count(*) FROM {river_job} WHERE kind = 'backup_seal' AND metadata->'output'->>'manifest' = $1`, got.ManifestKey) == 1
			})
		})
	}
}

// Tasks that finish at once never leave a backup open.
func TestManyBackups(t *testing.T) {
	n := envtest.Count(300, 2000)
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		for _, name := range []string{"one", "two", "three"} {
			c.Providers = append(c.Providers, backup.ProviderConfig{Name: name, Provider: tiny{}, MaxWorkers: 16})
		}
	}})
	ps := make([]backup.StartParams, n)
	for i := range ps {
		ps[i] = backup.StartParams{UserID: fmt.Sprint("user", i%7), SiteID: fmt.Sprint("site", i)}
	}
	_, err := b.client.StartMany(b.ctx, ps)
	require.NoError(t, err)
	b.work()
	b.eventually("all to end", 3*time.Minute, func() bool {
		return b.count("SELECT count(*) FROM {backup} WHERE state IN ('done', 'failed', 'canceled')") == n
	})
	require.Equal(t, n, b.count("SELECT count(*) FROM {backup} WHERE state = 'done' AND open_tasks = 0 AND failed_tasks = 0"))
	require.Equal(t, 3*n, b.count("SELECT count(*) FROM {backup_task} WHERE state = 'done' AND failures = 0"))
	require.Len(t, b.keys(), 4*n)
	b.requireSound()
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   export.Fault
		class   backup.Class
		message string
		hint    string
	}{
		"404":         {export.Fault{Status: http.StatusNotFound}, backup.ClassPermanent, "404", "id"},
		"401":         {export.Fault{Status: http.StatusUnauthorized}, backup.ClassPermanent, "401", "credential"},
		"500":         {export.Fault{Status: http.StatusInternalServerError}, backup.ClassRetryable, "500", "source"},
		"HTML":        {export.Fault{HTML: true}, "", "text/html", ""},
		"empty":       {export.Fault{Empty: true}, backup.ClassPermanent, "empty", "allowed to be empty"},
		"204":         {export.Fault{Status: http.StatusNoContent}, backup.ClassPermanent, "empty", ""},
		"cut":         {export.Fault{Cut: true, After: 100_000}, backup.ClassRetryable, "unexpected EOF", "broke the export off"},
		"cut chunked": {export.Fault{Cut: true, After: 100_000, Framing: "chunked"}, backup.ClassRetryable, "unexpected EOF", ""},
		"unframed":    {export.Fault{Framing: "close"}, backup.ClassPermanent, "nothing proves the end", "unproven"},
		"too long":    {export.Fault{ExtraLength: 100}, backup.ClassRetryable, "", ""},
		"digest":      {export.Fault{Digest: "header", WrongDigest: true}, backup.ClassRetryable, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, setupOptions{
				apis:   []export.Options{{Name: "site", Size: 300_000, Fault: c.fault}},
				config: func(cfg *backup.Config) { cfg.Providers[0].MaxAttempts = 1 },
			})
			b.work()
			got := b.wait(b.start())
			require.Equal(t, backup.StateFailed, got.State)
			f := got.Tasks[0].Failure
			require.NotNil(t, f)
			if c.class != "" {
				require.Equal(t, c.class, f.Class, "%+v", f)
			}
			require.Contains(t, f.Message, c.message)
			require.Contains(t, f.Hint, c.hint)
			require.NotEmpty(t, f.Hint)
			require.Equal(t, "site: "+f.Message, got.Failure.Message)
			require.Empty(t, b.keys(), "nothing partial is in view")
			b.requireSound()
			b.eventually("River to know", 10*time.Second, func() bool {
				return b.count(`SELECT count(*) FROM {river_job} WHERE kind = 'backup_task_site' AND state = 'cancelled' AND errors[1]->>'error' LIKE '%hint:%'`) == 1
			})
		})
	}
}

func TestUnprovenAndEmptyWhereDeclared(t *testing.T) {
	b := setup(t, setupOptions{
		apis: []export.Options{
			{Name: "site", Size: 300_000, Fault: export.Fault{Framing: "close"}},
			{Name: "mail", Size: 0},
			{Name: "db", Size: 300_000, Fault: export.Fault{Framing: "chunked"}},
			{Name: "cms", Size: 300_000, Fault: export.Fault{Framing: "chunked", Digest: "trailer"}},
		},
		config: func(c *backup.Config) { c.Providers[0].AllowUnproven, c.Providers[1].AllowEmpty = true, true },
	})
	b.work()
	m := b.requireCopy(b.wait(b.start()))
	proofs := make(map[string]backup.Proof)
	for _, o := range m.Objects {
		proofs[o.Provider] = o.Proof
	}
	require.Equal(t, map[string]backup.Proof{
		"cms": backup.ProofDigest, "db": backup.ProofFraming, "mail": backup.ProofLength, "site": backup.ProofNone,
	}, proofs)
}

// A task goes on where the last attempt's journal ends.
func TestRetriesResume(t *testing.T) {
	const size = 4 << 20
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: size, Fault: export.Fault{Times: 3, Cut: true, After: 1 << 20}}}})
	b.work()
	got := b.wait(b.start())
	b.requireCopy(got)
	require.Len(t, got.Tasks[0].Attempts, 4)
	stats := b.apis["site"].handler.Stats()
	require.EqualValues(t, 4, stats.Requests)
	require.Less(t, stats.Bytes, int64(size+3*(64<<10)*2), "each attempt read at most two parts again")
}

func TestStall(t *testing.T) {
	b := setup(t, setupOptions{
		apis:   []export.Options{{Name: "site", Size: 1 << 20, Fault: export.Fault{Times: 1, Stall: true, After: 500_000}}},
		config: func(c *backup.Config) { c.Providers[0].StallTimeout = time.Second },
	})
	b.work()
	got := b.wait(b.start())
	b.requireCopy(got)
	require.Equal(t, 2, got.Tasks[0].Attempt)
}

func TestRetryAfter(t *testing.T) {
	b := setup(t, setupOptions{
		apis:   []export.Options{{Name: "site", Size: 1000, Fault: export.Fault{Times: 2, Status: http.StatusTooManyRequests, RetryAfter: "1"}}},
		config: func(c *backup.Config) { c.Providers[0].MaxAttempts = 1 },
	})
	b.work()
	got := b.wait(b.start())
	b.requireCopy(got)
	require.Equal(t, 1, got.Tasks[0].Attempt, "waits that the source asks for use no attempt up")
	require.EqualValues(t, 3, b.apis["site"].handler.Stats().Requests)
}

func TestPlanningFails(t *testing.T) {
	b := setup(t, setupOptions{})
	b.work()
	got := b.wait(b.start())
	require.Equal(t, backup.StateFailed, got.State)
	require.Equal(t, "no provider is configured", got.Failure.Message)

	id := b.start(func(p *backup.StartParams) { p.Providers = []string{"nobody"} })
	require.Equal(t, `provider "nobody" is not configured`, b.wait(id).Failure.Message)
}

func TestCancelWhileRunning(t *testing.T) {
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: 10 << 20, Fault: export.Fault{Rate: 1 << 20}}}})
	b.work()
	id := b.start()
	b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 1 && now.Tasks[0].StoredBytes > 0 })
	got, err := b.client.Cancel(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, backup.StateCanceled, got.State)
	b.eventually("the worker to stop", 10*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_task_site' AND state = 'cancelled'") == 1
	})
	require.Empty(t, b.keys())

	// Retry goes on to the end, from where it was.
	b.apis["site"].options.Fault = export.Fault{}
	_, err = b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	b.requireCopy(b.wait(id))
}

// Somebody cancels the task's job in River UI: the backup is canceled.
func TestCanceledInRiver(t *testing.T) {
	b := setup(t, setupOptions{apis: append(siteAndDB(1<<20), export.Options{Name: "slow", Size: 10 << 20, Fault: export.Fault{Rate: 1 << 20}})})
	b.work()
	id := b.start()
	b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 3 && now.Tasks[2].StoredBytes > 0 })
	var job int64
	require.NoError(t, b.pool.QueryRow(b.ctx, b.in("SELECT id FROM {river_job} WHERE kind = 'backup_task_slow'")).Scan(&job))
	rc, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{Schema: b.schema, Logger: b.logger})
	require.NoError(t, err)
	_, err = rc.JobCancel(b.ctx, job) // as River UI does
	require.NoError(t, err)
	require.Equal(t, backup.StateCanceled, b.wait(id).State)
	b.requireSound()
}

// A worker that stops hands its task over: no attempt is used up, and the next
// one goes on where it was.
func TestHandOver(t *testing.T) {
	const size = 6 << 20
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: size, Fault: export.Fault{Times: 1, Rate: 2 << 20}}}})
	stop := b.work(unhurried)
	id := b.start()
	b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 1 && now.Tasks[0].StoredBytes > 1<<20 })
	stop()
	got, err := b.client.Get(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, backup.TaskPending, got.Tasks[0].State)
	require.Nil(t, got.Tasks[0].Failure)
	stored := got.Tasks[0].StoredBytes

	b.work(unhurried)
	done := b.wait(id)
	b.requireCopy(done)
	require.Equal(t, 1, done.Tasks[0].Attempt)
	require.Zero(t, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_task_site' AND errors IS NOT NULL"), b.errors())
	served := b.apis["site"].handler.Stats().Bytes
	require.Less(t, served, size+stored, "the second worker didn't begin again")
}

// A job that another language's River client inserted starts a backup; delivered
// twice, it starts one.
func TestForeignJobs(t *testing.T) {
	b := setup(t, setupOptions{apis: siteAndDB(1000)})
	insert := func(queue, args string) {
		b.exec(`INSERT INTO {river_job} (kind, queue, args, max_attempts, state, priority) VALUES ('backup', $1, $2, 25, 'available', 1)`, queue, args)
	}
	args := `{"user_id":"` + userID + `","site_id":"` + siteID + `","idempotency_key":"k1"}`
	insert("default", args)
	insert("default", args)
	insert("backup", `{"user_id":"`+userID+`","site_id":"`+siteID+`"}`)
	insert("default", `{"user_id":"`+userID+`"}`)
	insert("default", `{"user_id":7}`)
	b.work()
	b.eventually("two backups to be done", time.Minute, func() bool {
		return b.count("SELECT count(*) FROM {backup} WHERE state = 'done'") == 2
	})
	b.eventually("the bad one to be canceled", time.Minute, func() bool {
		return b.count(`SELECT count(*) FROM {river_job} WHERE state = 'cancelled' AND errors[1]->>'error' LIKE '%siteId must not be empty%'`) == 1
	})
	b.eventually("the one that can't be read to be canceled", time.Minute, func() bool {
		return b.count(`SELECT count(*) FROM {river_job} WHERE state = 'cancelled' AND attempt = 1 AND errors[1]->>'error' LIKE '%bad args: json%'`) == 1
	})
	require.Equal(t, 2, b.count("SELECT count(*) FROM {backup}"))
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup} WHERE idempotency_key = 'k1'"))
	b.eventually("both deliveries to be completed, with the one backup as their output", time.Minute, func() bool {
		return b.count(`SELECT count(*) FROM {river_job} j JOIN {backup} b ON metadata->'output'->>'backup_id' = b.id::text
			WHERE idempotency_key = 'k1' AND j.state = 'completed' AND j.kind = 'backup'`) == 2
	})
}

func TestConfigureRefuses(t *testing.T) {
	b := setup(t, setupOptions{})
	w, err := New(b.client, nil)
	require.NoError(t, err)
	require.ErrorContains(t, w.Configure(&river.Config{Schema: "other"}), "must be the same")
	require.ErrorContains(t, w.Configure(&river.Config{JobTimeout: time.Minute}), "JobTimeout must be at most")
	require.ErrorContains(t, w.Configure(&river.Config{RescueStuckJobsAfter: time.Hour}), "RescueStuckJobsAfter must be at most")
	workers := river.NewWorkers()
	require.NoError(t, w.AddWorkers(workers))
	require.ErrorContains(t, w.AddWorkers(workers), "already registered")
}

func TestNewRefuses(t *testing.T) {
	b := setup(t, setupOptions{})
	for want, cfg := range map[string]Config{
		"PartSize must be":        {PartSize: 1},
		"Concurrency must be":     {Concurrency: 65},
		"BufferBudget must be":    {BufferBudget: 1},
		"LeaseDuration must be":   {LeaseDuration: time.Second},
		"Heartbeat must be":       {Heartbeat: 6*time.Second + 1},
		"JournalBytes must be":    {JournalBytes: -1},
		"ControlWorkers must be":  {ControlWorkers: -1},
		"StepAttempts must be at": {StepAttempts: -1},
	} {
		_, err := New(b.client, &cfg)
		require.ErrorContains(t, err, want)
	}
	noStore, err := backup.New(&backup.Config{Pool: b.pool})
	require.NoError(t, err)
	_, err = New(noStore, nil)
	require.ErrorIs(t, err, backup.ErrNoStore)
	noProvider, err := backup.New(&backup.Config{Pool: b.pool, Store: b.store, Providers: []backup.ProviderConfig{{Name: "p"}}})
	require.NoError(t, err)
	_, err = New(noProvider, nil)
	require.ErrorContains(t, err, `provider "p" has no Provider`)
}

// Secrets of a source's credential reach no row.
func TestNoSecrets(t *testing.T) {
	const secret = "s3cr3t-t0ken"
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: 1000, Token: "another"}}})
	b.client = b.withToken(secret)
	b.work()
	require.Equal(t, backup.StateFailed, b.wait(b.start()).State)
	for _, table := range []string{"backup", "backup_task", "backup_event", "river_job"} {
		require.Zero(t, b.count("SELECT count(*) FROM {"+table+"} t WHERE to_jsonb(t)::text LIKE '%"+secret+"%'"), table)
	}
}

func (b *bundle) errors() (all string) {
	_ = b.client.Pool().QueryRow(b.ctx, "SELECT coalesce(string_agg(array_to_string(errors, ' '), ' '), '') FROM "+b.schema+".river_job").Scan(&all)
	return all
}
