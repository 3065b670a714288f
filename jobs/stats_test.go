package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

type exportFunc func(context.Context, *backup.ExportRequest) (*backup.Export, error)

func (f exportFunc) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	return f(ctx, req)
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// named returns the log's lines with this message.
func (l *lockedBuffer) named(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		if fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// An operator sees every attempt that failed, what failed for good, and what is done:
// in the log, and in counts. Neither says whose data it was, nor where it came from.
func TestAttemptsAreReported(t *testing.T) {
	const secretURL = "https://source.example.com/hunter2"
	var tried atomic.Bool
	flaky := exportFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		if tried.CompareAndSwap(false, true) {
			return nil, backup.RetryAfter(errors.New("get "+secretURL+": busy"), time.Millisecond, "")
		}
		return tiny{}.Export(ctx, req)
	})
	broken := exportFunc(func(context.Context, *backup.ExportRequest) (*backup.Export, error) {
		return nil, backup.Permanent(errors.New("get "+secretURL+": forbidden"), "")
	})
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "flaky", Provider: flaky}, {Name: "broken", Provider: broken}}
	}})
	log := &lockedBuffer{}
	client, w := b.riverClient(func(c *Config, _ *river.Config) { c.Logger = slog.New(slog.NewJSONHandler(log, nil)) })
	require.NoError(t, client.Start(b.ctx))
	t.Cleanup(func() { _ = client.StopAndCancel(context.WithoutCancel(b.ctx)) })
	require.EqualValues(t, 0, w.Stats().Attempts[Attempts{"flaky", OutcomeDone}])

	done := b.wait(b.start(func(p *backup.StartParams) { p.Providers = []string{"flaky"} }))
	require.Equal(t, backup.StateDone, done.State)
	failed := b.wait(b.start(func(p *backup.StartParams) { p.Providers = []string{"broken"} }))
	require.Equal(t, backup.StateFailed, failed.State)

	task := done.Tasks[0]
	for message, want := range map[string]map[string]any{
		"attempt failed": {"level": "WARN", "backup": done.ID, "task": task.ID, "provider": "flaky", "attempt": 1.0, "class": "retry_after", "bytes": 0.0},
		"task done":      {"level": "INFO", "backup": done.ID, "task": task.ID, "provider": "flaky", "attempt": 1.0, "bytes": float64(task.Size)},
		"backup done":    {"level": "INFO", "backup": done.ID, "objects": 1.0, "bytes": float64(task.Size)},
		"task failed":    {"level": "ERROR", "backup": failed.ID, "provider": "broken", "class": "permanent"},
	} {
		b.eventually(message, 10*time.Second, func() bool { return len(log.named(t, message)) == 1 })
		line := log.named(t, message)[0]
		for key, value := range want {
			require.Equal(t, value, line[key], "%s: %s", message, key)
		}
		if message != "backup done" {
			require.Contains(t, line, "duration")
		}
	}
	b.eventually("the end of both attempts", 10*time.Second, func() bool { return w.Stats().Running["broken"] == 0 })
	got := w.Stats()
	require.EqualValues(t, 1, got.Attempts[Attempts{"flaky", OutcomeDone}])
	require.EqualValues(t, 1, got.Attempts[Attempts{"flaky", string(backup.ClassRetryAfter)}])
	require.EqualValues(t, 1, got.Attempts[Attempts{"broken", OutcomeFinal}])
	require.EqualValues(t, task.Size, got.StoredBytes["flaky"])
	require.Zero(t, got.Running["flaky"])
	require.EqualValues(t, 64<<20, got.Buffers.Budget)

	log.mu.Lock()
	defer log.mu.Unlock()
	for _, secret := range []string{userID, siteID, "hunter2"} {
		require.NotContains(t, log.buf.String(), secret)
	}
}

// A lease that was taken away is counted.
func TestLostLeasesAreCounted(t *testing.T) {
	entered, gone := make(chan struct{}), make(chan struct{})
	slow := exportFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		select {
		case <-entered:
			return tiny{}.Export(ctx, req)
		default:
		}
		close(entered)
		<-ctx.Done()
		close(gone)
		return nil, io.ErrUnexpectedEOF
	})
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.Providers = []backup.ProviderConfig{{Name: "slow", Provider: slow}}
	}})
	client, w := b.riverClient(func(c *Config, _ *river.Config) { c.LeaseDuration, c.Heartbeat = 2*time.Second, 100*time.Millisecond })
	require.NoError(t, client.Start(b.ctx))
	t.Cleanup(func() { _ = client.StopAndCancel(context.WithoutCancel(b.ctx)) })
	b.start()
	<-entered
	require.EqualValues(t, 1, w.Stats().Running["slow"])
	b.exec(`UPDATE {backup_task} SET lease_token = gen_random_uuid()`)
	<-gone
	b.eventually("the count", 10*time.Second, func() bool { return w.Stats().LeasesLost == 1 })
	b.eventually("the outcome", 10*time.Second, func() bool { return w.Stats().Attempts[Attempts{"slow", OutcomeLeaseLost}] == 1 })
}
