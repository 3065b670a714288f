package jobs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// workWith is work for tests that need the workers themselves.
func (b *bundle) workWith(change func(*Workers), rivers ...func(*Config, *river.Config)) {
	b.Helper()
	client, w := b.riverClient(rivers...)
	change(w)
	require.NoError(b, client.Start(b.ctx))
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 30*time.Second)
		defer cancel()
		require.NoError(b, client.StopAndCancel(ctx))
	})
}

// Somebody cancels a task's River job right behind the gate: the backup ends
// one way or the other.
func TestCanceledInRiverBehindGate(t *testing.T) {
	b := setup(t, only(tiny{}.Export))
	rc, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{Schema: b.schema, Logger: b.logger})
	require.NoError(t, err)
	jobs := make(chan context.Context, 10)
	capture := river.WorkerMiddlewareFunc(func(ctx context.Context, job *rivertype.JobRow, inner func(context.Context) error) error {
		if job.Kind == "backup_task_p" {
			jobs <- ctx
		}
		return inner(ctx)
	})
	var once sync.Once
	reached := make(chan error, 1)
	b.workWith(func(w *Workers) {
		w.passed = func(step string) {
			if step == "gate" {
				once.Do(func() { reached <- b.cancelInRiver(<-jobs, rc) })
			}
		}
	}, func(_ *Config, rc *river.Config) { rc.Middleware = append(rc.Middleware, capture) })
	id := b.start()
	select {
	case err := <-reached:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("the gate wasn't reached")
	}
	var got *backup.Backup
	b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool {
		_, err := b.client.Ledger().Reconcile(b.ctx, 100)
		require.NoError(t, err)
		got = now
		return now.State.Terminal()
	})
	if got.State == backup.StateDone {
		b.requireCopy(got)
	} else {
		require.Equal(t, backup.StateCanceled, got.State)
		require.Empty(t, got.ManifestKey)
	}
	require.Zero(t, b.count("SELECT count(*) FROM {backup_task} WHERE state IN ('pending', 'running', 'committing')"))
	b.requireSound()
}

// cancelInRiver cancels the task's River job and waits until that has reached
// the job's context.
func (b *bundle) cancelInRiver(job context.Context, rc *river.Client[pgx.Tx]) error {
	var id int64
	if err := b.pool.QueryRow(b.ctx, b.in("SELECT river_job_id FROM {backup_task}")).Scan(&id); err != nil {
		return err
	}
	if _, err := rc.JobCancel(b.ctx, id); err != nil {
		return err
	}
	select {
	case <-job.Done():
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("the job's context didn't end")
	}
}

// What passed the gate is gone from the store: the task begins again under a
// new name.
func TestContentLost(t *testing.T) {
	var asked offsets
	data := bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
	b := setup(t, only(func(_ context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		asked.add(req.Offset)
		return &backup.Export{Body: io.NopCloser(bytes.NewReader(data[req.Offset:])), Offset: req.Offset, Size: int64(len(data)), Validator: `"v"`}, nil
	}, attempts(2)))
	var once sync.Once
	lost := make(chan string, 1)
	b.workWith(func(w *Workers) {
		w.passed = func(step string) {
			if step == "gate" {
				once.Do(func() {
					var key string
					if err := b.pool.QueryRow(b.ctx, b.in("SELECT object_key FROM {backup_task} WHERE state = 'committing'")).Scan(&key); err == nil && b.store.Abort(b.ctx, key) == nil {
						lost <- key
					}
					close(lost)
				})
			}
		}
	})
	got := b.wait(b.start())
	b.requireCopy(got)
	key := <-lost
	require.NotEmpty(t, key, "the parts were dropped")
	require.NotEqual(t, key, got.Tasks[0].ObjectKey)
	require.NotContains(t, b.keys(), key)
	require.Len(t, b.keys(), 2)
	require.Equal(t, []int64{0, 0}, asked.all())
	require.Equal(t, 1, b.count("SELECT failures FROM {backup_task}"), "it counts")
	b.requireSound()
}

// An attempt goes on behind the journal only if the store has its parts and the
// source can tell its bytes from others.
func TestWhereAttemptsGoOn(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 32<<10) // 512 KiB
	for name, c := range map[string]struct {
		validator string
		lose      bool
		resumes   bool
	}{
		"all is there":     {validator: `"v"`, resumes: true},
		"parts are gone":   {validator: `"v"`, lose: true},
		"no validator":     {},
		"neither of these": {lose: true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked offsets
			b := setup(t, only(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				ex := &backup.Export{Offset: req.Offset, Size: int64(len(data)), Validator: c.validator}
				if ex.Body = io.NopCloser(bytes.NewReader(data[req.Offset:])); asked.add(req.Offset) == 1 {
					ex.Body = paused(ctx, data, len(data)/2, nil)
				}
				return ex, nil
			}))
			stop := b.work()
			id := b.start()
			b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 1 && now.Tasks[0].StoredBytes > 0 })
			stop()
			now, err := b.client.Get(b.ctx, id)
			require.NoError(t, err)
			require.Equal(t, backup.TaskPending, now.Tasks[0].State)
			require.Positive(t, now.Tasks[0].StoredBytes)
			if c.lose {
				require.NoError(t, b.store.Abort(b.ctx, now.Tasks[0].ObjectKey))
			}
			b.work()
			got := b.wait(id)
			b.requireCopy(got)
			require.Equal(t, data, b.read(got.Tasks[0].ObjectKey))
			offsets := asked.all()
			require.Len(t, offsets, 2)
			if c.resumes {
				require.Positive(t, offsets[1])
			} else {
				require.Zero(t, offsets[1])
			}
			require.Equal(t, 1, got.Tasks[0].Attempt)
		})
	}
}

func TestWrongOffset(t *testing.T) {
	b := setup(t, only(func(context.Context, *backup.ExportRequest) (*backup.Export, error) {
		return &backup.Export{Body: io.NopCloser(bytes.NewReader([]byte("llo"))), Offset: 2, Size: 5, Validator: `"v"`}, nil
	}, attempts(2)))
	b.work()
	got := b.wait(b.start())
	require.Equal(t, backup.StateFailed, got.State)
	require.Equal(t, backup.ClassPermanent, got.Tasks[0].Failure.Class)
	require.Contains(t, got.Tasks[0].Failure.Message, "asked for offset 0 and got 2")
	require.Equal(t, 1, got.Tasks[0].Attempt)
	require.Empty(t, b.keys())
}

func TestOpenTimeout(t *testing.T) {
	b := setup(t, only(func(ctx context.Context, _ *backup.ExportRequest) (*backup.Export, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, attempts(1), func(p *backup.ProviderConfig) { p.OpenTimeout = time.Second }))
	b.work()
	got := b.wait(b.start())
	require.Equal(t, backup.StateFailed, got.State)
	require.Equal(t, backup.ClassRetryable, got.Tasks[0].Failure.Class)
	require.Contains(t, got.Tasks[0].Failure.Message, "did not begin in time (1s)")
	require.Contains(t, got.Tasks[0].Failure.Hint, "open timeout")
}

// A body may take longer than OpenTimeout: that one is for Export alone.
func TestOpenTimeoutIsNotForTheBody(t *testing.T) {
	data := make([]byte, 1000)
	gate := make(chan struct{})
	opened := make(chan time.Time, 10)
	b := setup(t, only(func(ctx context.Context, _ *backup.ExportRequest) (*backup.Export, error) {
		opened <- now()
		return &backup.Export{Body: paused(ctx, data, 500, gate), Size: 1000}, nil
	}, attempts(1), func(p *backup.ProviderConfig) { p.OpenTimeout = time.Second }))
	b.work()
	id := b.start()
	at := <-opened
	b.eventually("the timeout to pass", 20*time.Second, func() bool { return now().Sub(at) > 1500*time.Millisecond })
	close(gate)
	b.requireCopy(b.wait(id))
}

// Queue "default" is everybody's: what isn't ours stays there.
func TestOthersJobsStay(t *testing.T) {
	b := setup(t, only(tiny{}.Export))
	b.exec(`INSERT INTO {river_job} (kind, queue, args, max_attempts, state, priority) VALUES
		('hosts_own', 'default', jsonb_build_object(), 1, 'available', 1),
		('backup', 'default', jsonb_build_object('user_id', 'u', 'site_id', 's'), 25, 'available', 4)`)
	b.work()
	b.eventually("our own one", 30*time.Second, func() bool { return b.count("SELECT count(*) FROM {backup} WHERE state = 'done'") == 1 })
	require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'hosts_own' AND state = 'available' AND attempt = 0"))
}

// Jobs of a later release wait for its workers.
func TestLaterReleasesJobsWait(t *testing.T) {
	b := setup(t, only(tiny{}.Export))
	b.exec(`INSERT INTO {river_job} (kind, queue, args, max_attempts, state, priority)
		SELECT kind, 'backup', jsonb_build_object('v', 99, 'user_id', 'u', 'site_id', 's', 'provider', 'p'), 25, 'available', 1
		FROM unnest(ARRAY['backup', 'backup_task_p', 'backup_seal']) kind`)
	b.work()
	b.eventually("them to be put off", 20*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE args->>'v' = '99' AND state = 'scheduled' AND scheduled_at > now() + interval '30 seconds'") == 3
	})
	require.Zero(t, b.count("SELECT count(*) FROM {backup}"))
	require.Zero(t, b.count("SELECT count(*) FROM {river_job} WHERE args->>'v' = '99' AND errors IS NOT NULL"))
}

func TestConfigureFitsRiver(t *testing.T) {
	b := setup(t, only(tiny{}.Export))
	for _, rc := range []*river.Config{
		{}, {RescueStuckJobsAfter: 30 * time.Second}, {JobTimeout: 10 * time.Second}, {JobTimeout: time.Second, RescueStuckJobsAfter: time.Second},
	} {
		w, err := New(b.client, nil)
		require.NoError(t, err)
		rescue, timeout := rc.RescueStuckJobsAfter, rc.JobTimeout
		require.NoError(t, w.Configure(rc))
		_, err = river.NewClient(riverpgxv5.New(b.pool), rc)
		require.NoError(t, err)
		if rescue != 0 {
			require.Equal(t, rescue, rc.RescueStuckJobsAfter, "what the host has set stays")
		}
		if timeout != 0 {
			require.Equal(t, timeout, rc.JobTimeout)
		}
	}
}

func TestLineError(t *testing.T) {
	t.Parallel()
	err := &lineError{backup.Classify(backup.Permanent(errors.Join(errors.New("a\nb"), errors.New("c")), "look\r\nthere"))}
	require.NotContains(t, err.Error(), "\n")
	require.NotContains(t, err.Error(), "\r")
	require.Contains(t, err.Error(), "permanent: a")
	require.Contains(t, err.Error(), "(hint: look")
}

func TestNextRetry(t *testing.T) {
	t.Parallel()
	next := func(r retryAt) time.Duration {
		asked := now()
		at := base[taskArgs]{}.NextRetry(&river.Job[taskArgs]{Args: taskArgs{retryAt: r}})
		require.True(t, at.After(now()), "it is in the future")
		return at.Sub(asked)
	}
	at := func(d time.Duration) retryAt { when := now().Add(d); return retryAt{&when} }
	const slack = 3 * time.Second
	require.InDelta(t, time.Second, next(retryAt{}), float64(slack), "rescued")
	require.InDelta(t, unexpected, next(newRetryAt()), float64(slack), "nothing was decided")
	require.InDelta(t, time.Second, next(at(-time.Hour)), float64(slack), "the time has passed")
	require.InDelta(t, time.Hour, next(at(time.Hour)), float64(slack), "what was decided")
}

// River's next attempt is when the task's is.
func TestRiverFollows(t *testing.T) {
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: 10, Fault: export.Fault{Status: http.StatusTooManyRequests, RetryAfter: "300"}}}})
	b.work()
	b.start()
	b.eventually("the failure", 20*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_task_site' AND state = 'scheduled'") == 1
	})
	require.Equal(t, 1, b.count(`SELECT count(*) FROM {river_job} j JOIN {backup_task} t ON j.id = t.river_job_id
		WHERE t.next_attempt_at > now() + interval '250 seconds' AND abs(extract(epoch FROM j.scheduled_at - t.next_attempt_at)) < 5`))
}

// Somebody holds the row of a backup in an open transaction. That costs no
// other backup its lease.
func TestOpenTransactionCostsNoOtherLease(t *testing.T) {
	const lease = 3 * time.Second
	data := make([]byte, 256<<10)
	gate := make(chan struct{})
	var mu sync.Mutex
	calls := make(map[string]int)
	b := setup(t, only(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		mu.Lock()
		defer mu.Unlock()
		calls[req.BackupID]++
		return &backup.Export{Body: paused(ctx, data, len(data)/2, gate), Size: int64(len(data)), Validator: `"v"`}, nil
	}))
	b.work(func(c *Config, _ *river.Config) { c.LeaseDuration = lease })
	canceled, other := b.start(), b.start(func(p *backup.StartParams) { p.SiteID = "another" })
	for _, id := range []string{canceled, other} {
		b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 1 && now.Tasks[0].StoredBytes > 0 })
	}
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	_, err = b.client.CancelTx(b.ctx, tx, canceled)
	require.NoError(t, err)
	at := now()
	b.eventually("the lease to have ended, were it not renewed", 20*time.Second, func() bool {
		require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_task} WHERE backup_id = $1 AND lease_until > now()", other))
		return now().Sub(at) > lease+time.Second
	})
	require.NoError(t, tx.Commit(b.ctx))
	close(gate)
	b.requireCopy(b.wait(other))
	require.Equal(t, backup.StateCanceled, b.wait(canceled).State)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 1, calls[other])
}
