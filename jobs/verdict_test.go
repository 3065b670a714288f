package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// refuted is a provider whose first export is damaged, which its digest shows at the
// end; later ones have only a length. verdict is called before it is known.
type refuted struct {
	data    []byte
	asked   offsets
	gate    chan struct{}
	verdict func(ctx context.Context)
}

func newRefuted() *refuted {
	return &refuted{data: bytes.Repeat([]byte("abcdefgh"), 64<<10), gate: make(chan struct{})}
}

func (r *refuted) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	serve := bytes.Clone(r.data)
	first := r.asked.add(req.Offset) == 1
	if first {
		serve[5] ^= 1
	}
	rest := serve[req.Offset:]
	return &backup.Export{
		Body: paused(ctx, rest, len(rest)/2, r.gate), Offset: req.Offset, Size: int64(len(r.data)), Validator: `"v1"`,
		End: func() (end backup.End, err error) {
			if first {
				r.verdict(ctx)
				sum := sha256.Sum256(r.data)
				end.SHA256 = sum[:]
			}
			return end, nil
		},
	}, nil
}

func (r *refuted) requireWhole(b *bundle, got *backup.Backup) {
	b.Helper()
	sum := sha256.Sum256(r.data)
	require.Equal(b, hexString(sum[:]), b.requireCopy(got).Objects[0].SHA256)
	require.Equal(b, []int64{0, 0}, r.asked.all())
	b.requireSound()
}

// journaled starts a backup and waits until damaged bytes are journaled.
func (r *refuted) journaled(b *bundle) (id string) {
	b.Helper()
	id = b.start()
	b.eventually("bytes to be journaled", 20*time.Second, func() bool {
		return b.count("SELECT count(*) FROM {backup_task} WHERE stored_parts > 0") == 1
	})
	return id
}

// Bytes turn out to be damaged just when the process is stopped: the next one doesn't
// go on behind them.
func TestRefutedWhileStopping(t *testing.T) {
	r := newRefuted()
	ending := make(chan struct{})
	r.verdict = func(ctx context.Context) {
		close(ending)
		<-ctx.Done()
	}
	b := setup(t, only(r.Export, attempts(2)))
	client, _ := b.riverClient()
	require.NoError(t, client.Start(b.ctx))
	id := r.journaled(b)
	close(r.gate)
	<-ending
	require.NoError(t, client.StopAndCancel(context.WithoutCancel(b.ctx)))
	b.work()
	r.requireWhole(b, b.wait(id))
}

// So does one where the database ended all sessions just then.
func TestRefutedWhileTheDatabaseIsAway(t *testing.T) {
	r := newRefuted()
	var b *bundle
	var pool *pgxpool.Pool
	r.verdict = func(ctx context.Context) {
		all := make([]*pgxpool.Conn, pool.Config().MaxConns)
		for i := range all {
			all[i], _ = pool.Acquire(ctx)
		}
		for _, c := range all {
			c.Release()
		}
		b.exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'refuted' AND datname = current_database()")
	}
	options := only(r.Export, attempts(2))
	setProvider := options.config
	options.config = func(c *backup.Config) {
		setProvider(c)
		own := c.Pool.Config()
		own.ConnConfig.RuntimeParams["application_name"] = "refuted"
		own.MaxConns = 4
		var err error
		pool, err = pgxpool.NewWithConfig(t.Context(), own)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		c.Pool = pool
	}
	b = setup(t, options)
	b.work()
	id := r.journaled(b)
	close(r.gate)
	b.eventually("the end", time.Minute, func() bool { return b.count("SELECT count(*) FROM {backup} WHERE finished_at IS NOT NULL") == 1 })
	r.requireWhole(b, b.wait(id))
}
