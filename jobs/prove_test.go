package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// source is a provider that is a function.
type source func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error)

func (s source) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	return s(ctx, req)
}

// only sets a client up whose one provider, "p", is s.
func only(s source, change ...func(*backup.ProviderConfig)) setupOptions {
	return setupOptions{config: func(c *backup.Config) {
		p := backup.ProviderConfig{Name: "p", Provider: s}
		for _, f := range change {
			f(&p)
		}
		c.Providers = append(c.Providers, p)
	}}
}

func attempts(n int) func(*backup.ProviderConfig) {
	return func(p *backup.ProviderConfig) { p.MaxAttempts = n }
}

// pause is an io.Reader of nothing, which ends when the gate opens.
type pause struct {
	ctx  context.Context
	gate <-chan struct{}
}

func (p pause) Read([]byte) (int, error) {
	select {
	case <-p.gate:
		return 0, io.EOF
	case <-p.ctx.Done():
		return 0, context.Cause(p.ctx)
	}
}

// paused is a body that gives data up to at, and the rest when the gate opens.
func paused(ctx context.Context, data []byte, at int, gate <-chan struct{}) io.ReadCloser {
	return io.NopCloser(io.MultiReader(bytes.NewReader(data[:at]), pause{ctx, gate}, bytes.NewReader(data[at:])))
}

// offsets are those that a source was asked for.
type offsets struct {
	mu   sync.Mutex
	seen []int64
}

func (o *offsets) add(offset int64) (attempt int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, offset)
	return len(o.seen)
}

func (o *offsets) all() []int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]int64(nil), o.seen...)
}

func TestProve(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("hello"))
	other := sha256.Sum256([]byte("jello"))
	errEnd := errors.New("the trailer is missing")
	for name, c := range map[string]struct {
		provider backup.ProviderConfig
		offset   int64
		announce int64 // the announced size; -1 for none
		end      backup.End
		endErr   error
		empty    bool // what was received
		proof    backup.Proof
		message  string
		class    backup.Class
	}{
		"length":                         {announce: 5, proof: backup.ProofLength},
		"length beats framing":           {announce: 5, end: backup.End{Framed: true}, proof: backup.ProofLength},
		"framed":                         {announce: -1, end: backup.End{Framed: true}, proof: backup.ProofFraming},
		"digest":                         {announce: -1, end: backup.End{SHA256: sum[:]}, proof: backup.ProofDigest},
		"digest of a resumed one":        {announce: 5, offset: 3, end: backup.End{SHA256: sum[:]}, proof: backup.ProofDigest},
		"checked":                        {announce: -1, end: backup.End{DigestChecked: true}, proof: backup.ProofDigest},
		"checked the rest only":          {announce: 5, offset: 3, end: backup.End{DigestChecked: true}, proof: backup.ProofLength},
		"checked the rest, framed":       {announce: -1, offset: 3, end: backup.End{DigestChecked: true, Framed: true}, proof: backup.ProofFraming},
		"checked the rest, nothing else": {announce: -1, offset: 3, end: backup.End{DigestChecked: true}, message: "nothing proves the end", class: backup.ClassPermanent},
		"nothing":                        {announce: -1, message: "nothing proves the end", class: backup.ClassPermanent},
		"nothing, and allowed":           {announce: -1, provider: backup.ProviderConfig{AllowUnproven: true}, proof: backup.ProofNone},
		"too short":                      {announce: 6, message: "announced 6 bytes and sent 5", class: backup.ClassRetryable},
		"too long":                       {announce: 4, message: "announced 4 bytes and sent 5", class: backup.ClassRetryable},
		"short, digest or not":           {announce: 6, end: backup.End{SHA256: sum[:], Framed: true}, message: "announced 6 bytes and sent 5", class: backup.ClassRetryable},
		"short, and unproven allowed":    {announce: 6, provider: backup.ProviderConfig{AllowUnproven: true}, message: "announced 6 bytes and sent 5", class: backup.ClassRetryable},
		"announced empty, and sent":      {announce: 0, message: "announced 0 bytes and sent 5", class: backup.ClassRetryable},
		"wrong digest":                   {announce: 5, end: backup.End{SHA256: other[:]}, message: "SHA-256", class: backup.ClassRetryable},
		"digest of no length":            {announce: 5, end: backup.End{SHA256: []byte{}}, message: "SHA-256", class: backup.ClassRetryable},
		"end fails":                      {announce: 5, endErr: errEnd, message: errEnd.Error()},
		"empty":                          {announce: 0, empty: true, message: "the export is empty", class: backup.ClassPermanent},
		"empty, and allowed":             {announce: 0, empty: true, provider: backup.ProviderConfig{AllowEmpty: true}, proof: backup.ProofLength},
		"empty, allowed, with a minimum": {announce: 0, empty: true, provider: backup.ProviderConfig{AllowEmpty: true, MinSize: 1}, message: "the minimum is 1 bytes", class: backup.ClassPermanent},
		"as small as may be":             {announce: 5, provider: backup.ProviderConfig{MinSize: 5}, proof: backup.ProofLength},
		"empty, with a minimum":          {announce: 0, empty: true, provider: backup.ProviderConfig{MinSize: 1000}, message: "the export is empty", class: backup.ClassPermanent},
		"empty, allowed, unproven":       {announce: -1, empty: true, provider: backup.ProviderConfig{AllowEmpty: true}, message: "nothing proves the end", class: backup.ClassPermanent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := &blob.Content{Size: 5, SHA256: sum}
			if c.empty {
				content = &blob.Content{SHA256: sha256.Sum256(nil)}
			}
			ex := &backup.Export{Offset: c.offset, Size: c.announce, End: func() (backup.End, error) { return c.end, c.endErr }}
			proof, err := prove(&c.provider, ex, content)
			require.Equal(t, c.proof, proof)
			if c.message == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.message)
			if c.class != "" {
				require.Equal(t, c.class, backup.Classify(err).Class)
			}
		})
	}
}

func TestProveWithoutEnd(t *testing.T) {
	t.Parallel()
	proof, err := prove(&backup.ProviderConfig{}, &backup.Export{Size: 5}, &blob.Content{Size: 5})
	require.NoError(t, err)
	require.Equal(t, backup.ProofLength, proof)
	_, err = prove(&backup.ProviderConfig{}, &backup.Export{Size: -1}, &blob.Content{Size: 5})
	require.ErrorContains(t, err, "nothing proves the end")
}

// Bytes were damaged on the way once, and journaled: the next attempt doesn't
// go on behind them.
func TestDamagedOnce(t *testing.T) {
	data := bytes.Repeat([]byte("abcdefgh"), 64<<10) // 512 KiB
	sum := sha256.Sum256(data)
	var asked offsets
	gate := make(chan struct{})
	b := setup(t, only(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		serve := bytes.Clone(data)
		if asked.add(req.Offset) == 1 {
			serve[5] ^= 1
		}
		rest := serve[req.Offset:]
		return &backup.Export{
			Body: paused(ctx, rest, len(rest)/2, gate), Offset: req.Offset, Size: int64(len(data)), Validator: `"v1"`,
			End: func() (backup.End, error) { return backup.End{SHA256: sum[:]}, nil },
		}, nil
	}, attempts(2)))
	b.work()
	id := b.start()
	b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return len(now.Tasks) == 1 && now.Tasks[0].StoredBytes > 0 })
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_task} WHERE stored_parts > 0"), "the damaged bytes are journaled")
	close(gate)
	m := b.requireCopy(b.wait(id))
	require.Equal(t, hexString(sum[:]), m.Objects[0].SHA256)
	require.Equal(t, backup.ProofDigest, m.Objects[0].Proof)
	require.Equal(t, []int64{0, 0}, asked.all())
	require.Len(t, b.keys(), 2)
	b.requireSound()
}

// A provider that is broken uses its attempts up, and the failure says so.
func TestBrokenProviders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		provider source
		class    backup.Class
		message  string
		calls    int64
	}{
		"panics": {func(context.Context, *backup.ExportRequest) (*backup.Export, error) { panic("boom") }, backup.ClassRetryable, "panicked", 2},
		"panics while it is read": {func(context.Context, *backup.ExportRequest) (*backup.Export, error) {
			return &backup.Export{Body: io.NopCloser(bytes.NewReader([]byte("x"))), Size: 1, End: func() (backup.End, error) { panic("boom") }}, nil
		}, backup.ClassRetryable, "panicked", 2},
		"returns nothing": {func(context.Context, *backup.ExportRequest) (*backup.Export, error) { return nil, nil }, backup.ClassPermanent, "the provider returned none, and no error", 1}, //nolint:nilnil // that is the bug
		"returns no body": {func(context.Context, *backup.ExportRequest) (*backup.Export, error) { return &backup.Export{}, nil }, backup.ClassPermanent, "the provider returned none, and no error", 1},
	} {
		for retries := range int64(2) {
			t.Run(name+map[int64]string{0: ", one attempt", 1: ", two attempts"}[retries], func(t *testing.T) {
				var calls atomic.Int64
				b := setup(t, only(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
					calls.Add(1)
					return c.provider(ctx, req)
				}, attempts(int(retries+1))))
				b.work()
				got := b.wait(b.start())
				require.Equal(t, backup.StateFailed, got.State)
				require.Equal(t, min(c.calls, retries+1), calls.Load())
				require.EqualValues(t, calls.Load(), got.Tasks[0].Attempt)
				require.Equal(t, int(calls.Load()), b.count("SELECT failures FROM {backup_task}"), "they count")
				require.Equal(t, c.class, got.Tasks[0].Failure.Class)
				require.Contains(t, got.Failure.Message, c.message)
				require.Contains(t, got.Failure.Hint, "bug")
				require.NotContains(t, got.Failure.Message, "boom", "what a panic says may hold a secret")
				require.Empty(t, b.keys())
				b.requireSound()
			})
		}
	}
}

// A provider that announces a length, breaks off, and announces none when it goes
// on is held to the first one.
func TestAnnouncedLengthStands(t *testing.T) {
	data := original()
	asked := new(offsets)
	b := setup(t, only(func(_ context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		end, last := int64(250_000), io.Reader(strings.NewReader(""))
		size := int64(-1)
		if asked.add(req.Offset) == 1 {
			end, last, size = 200_000, iotest.ErrReader(errors.New("reset")), int64(len(data))
		}
		return &backup.Export{
			Body: io.NopCloser(io.MultiReader(bytes.NewReader(data[req.Offset:end]), last)), Offset: req.Offset, Size: size, Validator: "v",
			End: func() (backup.End, error) { return backup.End{Framed: true}, nil },
		}, nil
	}, attempts(2)))
	b.work()
	got := b.wait(b.start())
	require.Equal(t, backup.StateFailed, got.State)
	require.Contains(t, got.Failure.Message, "announced 300000 bytes and sent 250000")
	require.Equal(t, []int64{0, 200_000}, asked.all())
}
