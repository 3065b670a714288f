package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// childEnv tells a process of the test binary that it is a worker, and which.
const childEnv = "BACKUP_TEST_WORKER"

// child is a worker process of its own, which can be killed for real.
type child struct {
	Database string
	Schema   string
	Dir      string            // of the store
	URLs     map[string]string // of the export APIs
	DieAfter string            // the step behind which it kills itself
	StopFor  string            // the step behind which it stops itself, once, with SIGSTOP

	stopped sync.Once
}

// childMain is a worker process. It ends by being killed, or when its standard
// input ends because the test has.
func childMain(spec string) {
	var c child
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		panic(err)
	}
	if err := c.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run works until standard input ends, and ends when every job has.
func (c *child) run(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, c.Database)
	if err != nil {
		return err
	}
	store, err := fileblob.New(c.Dir, nil)
	if err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	cfg := &backup.Config{Pool: pool, Schema: c.Schema, Store: store, Logger: logger}
	for name, url := range c.URLs {
		p, err := httpexport.New(&httpexport.Config{URL: url})
		if err != nil {
			return err
		}
		cfg.Providers = append(cfg.Providers, backup.ProviderConfig{Name: name, Provider: p})
	}
	client, err := backup.New(cfg)
	if err != nil {
		return err
	}
	wc := testConfig()
	wc.LeaseDuration = 2 * time.Second
	w, err := New(client, wc)
	if err != nil {
		return err
	}
	w.passed = c.passed
	// The test's own client leads, so that no time is lost with an election.
	rc := &river.Config{Logger: logger, LeaderElectionDisabled: true, FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 50 * time.Millisecond}
	if err := w.Configure(rc); err != nil {
		return err
	}
	rclient, err := river.NewClient(riverpgxv5.New(pool), rc)
	if err != nil {
		return err
	}
	if err := rclient.Start(ctx); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return rclient.Stop(ctx)
}

func (c *child) passed(step string) {
	if step == c.DieAfter {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // a signal to oneself may take a moment
	}
	if step == c.StopFor {
		c.stopped.Do(func() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) })
	}
}

// spawn starts a worker process.
func (b *bundle) spawn(dir, dieAfter string) *exec.Cmd {
	b.Helper()
	cmd, _ := b.spawnChild(&child{Dir: dir, DieAfter: dieAfter})
	return cmd
}

// spawnChild starts a worker process that works until its input is closed.
func (b *bundle) spawnChild(c *child) (*exec.Cmd, io.Closer) {
	b.Helper()
	c.Database, c.Schema, c.URLs = b.pool.Config().ConnString(), b.schema, make(map[string]string)
	for name, a := range b.apis {
		c.URLs[name] = a.url
	}
	spec, err := json.Marshal(c)
	require.NoError(b, err)
	cmd := exec.CommandContext(b.ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(spec))
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe() // ends with this process
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	return cmd, input
}

// requireKilled waits for a process that kills itself.
func (b *bundle) requireKilled(cmd *exec.Cmd) {
	b.Helper()
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer timer.Stop()
	_ = cmd.Wait()
	require.Equal(b, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(), "the process reached the step")
}

// leasesEnd waits until the dead worker's leases have ended.
func (b *bundle) leasesEnd() {
	b.Helper()
	b.eventually("the leases to end", 20*time.Second, func() bool {
		return b.count("SELECT (SELECT count(*) FROM {backup_task} WHERE lease_until > now()) + (SELECT count(*) FROM {backup} WHERE lease_until > now())") == 0
	})
}

// Every step is interrupted once: the process is killed right behind it. The
// backup ends as it should by itself, and nothing is in the store twice.
func TestKilledBehindEachStep(t *testing.T) {
	for _, step := range []string{"plan", "gate", "commit", "task", "manifest", "seal"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			b := setup(t, setupOptions{store: fileStoreIn(dir), apis: siteAndDB(2 << 20)})
			id := b.start()
			b.requireKilled(b.spawn(dir, step))
			got, err := b.client.Get(b.ctx, id)
			require.NoError(t, err)
			require.False(t, got.State.Terminal(), "the kill left it open, as %s", got.State)

			b.leasesEnd()
			b.work()
			b.requireCopy(b.wait(id))
			require.Len(t, b.keys(), 3, "two objects and the manifest")
			require.Zero(t, b.count("SELECT count(*) FROM {backup_task} WHERE failures > 0"), "a crash is no failure")
			b.requireSound()
			if step == "gate" || step == "commit" {
				for _, a := range b.apis {
					require.LessOrEqual(t, a.handler.Stats().Bytes, a.options.Size+2<<20, "what passed the gate isn't read again")
				}
			}
		})
	}
}

// A worker is killed in the middle of a transfer; another one makes it whole.
func TestKilledMidTransfer(t *testing.T) {
	const size = 8 << 20
	dir := t.TempDir()
	b := setup(t, setupOptions{
		store: fileStoreIn(dir),
		apis:  []export.Options{{Name: "site", Size: size, Fault: export.Fault{Times: 1, Rate: 2 << 20}}, {Name: "db", Size: 1000}},
	})
	id := b.start()
	cmd := b.spawn(dir, "")
	var stored int64
	b.waitFor(id, 30*time.Second, func(now *backup.Backup) bool {
		if len(now.Tasks) < 2 {
			return false
		}
		stored = now.Tasks[1].StoredBytes
		return stored > size/3
	})
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Empty(t, b.siteObjects(), "nothing partial is in view")

	b.leasesEnd()
	b.work()
	got := b.wait(id)
	b.requireCopy(got)
	require.Len(t, b.keys(), 3)
	require.Equal(t, 1, got.Tasks[1].Attempt, "a crash uses no attempt up")
	require.Less(t, b.apis["site"].handler.Stats().Bytes, int64(size+8<<20), "the journaled bytes weren't read again")
}

func fileStoreIn(dir string) func(t *testing.T) blob.Store {
	return func(t *testing.T) blob.Store {
		store, err := fileblob.New(dir, nil)
		require.NoError(t, err)
		return store
	}
}

// siteObjects are the objects of the provider "site" that are in view.
func (b *bundle) siteObjects() (keys []string) {
	for _, k := range b.keys() {
		if strings.Contains(k, "/site/") {
			keys = append(keys, k)
		}
	}
	return keys
}
