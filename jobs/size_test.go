package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// silent is a provider that can't tell sizes before the export.
type silent struct{ backup.Provider }

func TestSizeLimitOfProvider(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		framing string
		silent  bool
		message string
		read    int64
	}{
		"planning": {message: "the export site is larger than its limit: the limit is 1048576 bytes, announced were 10485760 bytes, received 0 bytes"},
		"header":   {silent: true, message: "the export is larger than its limit: the limit is 1048576 bytes, announced were 10485760 bytes, received 0 bytes"},
		"stream":   {framing: "chunked", message: "the export is larger than its limit: the limit is 1048576 bytes, announced were nothing, received 1048577 bytes", read: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, setupOptions{
				apis: []export.Options{{Name: "site", Size: 10 << 20, Fault: export.Fault{Framing: c.framing}}},
				config: func(cfg *backup.Config) {
					cfg.Providers[0].MaxSize = 1 << 20
					if c.silent {
						cfg.Providers[0].Provider = silent{cfg.Providers[0].Provider}
					}
				},
			})
			b.work()
			got := b.wait(b.start())
			require.Equal(t, backup.StateFailed, got.State)
			require.Equal(t, backup.ClassPermanent, got.Failure.Class)
			require.Contains(t, got.Failure.Message, c.message)
			require.Empty(t, b.keys())
			require.GreaterOrEqual(t, b.apis["site"].handler.Stats().Bytes, c.read)
			if c.framing == "" && !c.silent {
				require.Zero(t, b.apis["site"].handler.Stats().Bytes)
			}
		})
	}
}

func TestSizeLimitOfBackup(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		framing string
		silent  bool
		message string
	}{
		"planning": {message: "the backup is larger than its limit: the limit is 1500000 bytes, announced were 2000000 bytes, received 0 bytes"},
		"header":   {silent: true, message: "the backup is larger than its limit: the limit is 1500000 bytes, announced were 2000000 bytes"},
		"journal":  {framing: "chunked", message: "is larger than its limit: the limit is 1500000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, setupOptions{
				apis: []export.Options{
					{Name: "db", Size: 1_000_000, Fault: export.Fault{Framing: c.framing}},
					{Name: "site", Size: 1_000_000, Fault: export.Fault{Framing: c.framing}},
				},
				config: func(cfg *backup.Config) {
					cfg.MaxSize = 1_500_000
					for i := range cfg.Providers {
						if c.silent {
							cfg.Providers[i].Provider = silent{cfg.Providers[i].Provider}
						}
					}
				},
			})
			b.work()
			got := b.wait(b.start(func(p *backup.StartParams) { p.MaxSize = 1 << 40 }))
			require.EqualValues(t, 1_500_000, got.MaxSize, "a request can't raise the limit")
			require.Equal(t, backup.StateFailed, got.State)
			require.Equal(t, backup.ClassPermanent, got.Failure.Class)
			require.Contains(t, got.Failure.Message, c.message)
			for _, k := range b.keys() {
				require.NotContains(t, k, "manifest")
			}
		})
	}
}

// A request may lower the limit, and what fits exactly is no violation.
func TestSizeLimitExactly(t *testing.T) {
	b := setup(t, setupOptions{apis: []export.Options{{Name: "site", Size: 1_000_000, Fault: export.Fault{Framing: "chunked"}}}})
	b.work()
	fits := b.wait(b.start(func(p *backup.StartParams) { p.MaxSize = 1_000_000 }))
	b.requireCopy(fits)
	over := b.wait(b.start(func(p *backup.StartParams) { p.MaxSize = 999_999 }))
	require.Equal(t, backup.StateFailed, over.State)
	require.Contains(t, over.Failure.Message, "the limit is 999999 bytes")
	_, err := b.client.Start(b.ctx, backup.StartParams{UserID: userID, SiteID: siteID, MaxSize: -1})
	require.EqualError(t, err, "sizeLimit must not be negative")
}

func TestMinSize(t *testing.T) {
	b := setup(t, setupOptions{
		apis:   []export.Options{{Name: "site", Size: 999}},
		config: func(c *backup.Config) { c.Providers[0].MinSize = 1000 },
	})
	b.work()
	got := b.wait(b.start())
	require.Equal(t, backup.StateFailed, got.State)
	require.Equal(t, "site: the export is smaller than its minimum: the minimum is 1000 bytes, announced were 999 bytes, received 999 bytes", got.Failure.Message)
	require.Empty(t, b.keys())
}

// A source that doesn't answer the question for the size, or panics on it, isn't
// taken for one that is too large, nor does it end the planning.
func TestSizerFails(t *testing.T) {
	b := setup(t, setupOptions{config: func(c *backup.Config) {
		c.MaxSize = 1 << 20
		c.Providers = []backup.ProviderConfig{{Name: "tiny", Provider: unsized{}}}
	}})
	b.work()
	got := b.wait(b.start())
	require.Equal(t, backup.StateDone, got.State, "%+v", got.Failure)
}

type unsized struct{ tiny }

func (unsized) Size(context.Context, *backup.ExportRequest) (int64, error) {
	return 0, context.DeadlineExceeded
}

// What can't fit into the most parts there may be is refused before a byte is read.
func TestMorePartsThanThereMayBe(t *testing.T) {
	most := blob.Capacity(64 << 10)
	var read atomic.Int64
	b := setup(t, only(func(context.Context, *backup.ExportRequest) (*backup.Export, error) {
		read.Add(1)
		return &backup.Export{Body: io.NopCloser(iotest.ErrReader(errors.New("was read"))), Size: most + read.Load() - 1}, nil
	}, attempts(2)))
	b.work(func(c *Config, _ *river.Config) { c.PartSize = 64 << 10 })
	got := b.wait(b.start())
	require.Equal(t, backup.StateFailed, got.State)
	require.Equal(t, backup.ClassPermanent, got.Failure.Class)
	require.Contains(t, got.Failure.Message, fmt.Sprintf("announced %d bytes, and 50000 parts hold %d", most+1, most))
	require.Contains(t, got.Tasks[0].Attempts[0].Failure.Message, "was read", "what just fits isn't refused")
}

// A store that has no time uses no attempt up, whether or not it says how long.
func TestThrottledStore(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Minute} {
		err := backup.Classify(storeFailed(&blob.StoreError{Op: "stage part 1", Err: &blob.ThrottledError{After: after, Err: errors.New("503")}}))
		require.Equal(t, backup.ClassRetryAfter, err.Class)
		require.Equal(t, after, err.After)
	}
	require.Equal(t, backup.ClassRetryable, backup.Classify(storeFailed(errors.New("500"))).Class)
}
