package backuptest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/backuptest"
)

// memory is a provider that keeps every promise. Its sites "stalls" and "cut"
// are about sources that misbehave.
type memory struct{ seed uint64 }

const memorySize = 50_000

func (m memory) data(site string) []byte {
	data := make([]byte, memorySize)
	r := rand.New(rand.NewPCG(m.seed, uint64(len(site))))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

func (m memory) validator(site string) string { return fmt.Sprintf(`"%s-%d"`, site, m.seed) }

func (m memory) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if req.SiteID == "unknown" {
		return nil, backup.Permanent(errors.New("no such site"), "check its id")
	}
	data := m.data(req.SiteID)
	sum := sha256.Sum256(data)
	ex := &backup.Export{
		Size: int64(len(data)), Validator: m.validator(req.SiteID), ContentType: "text/plain; charset=utf-8",
		End: func() (backup.End, error) { return backup.End{SHA256: sum[:]}, nil },
	}
	if req.Offset > 0 && req.Validator == ex.Validator {
		ex.Offset = req.Offset
	}
	last := io.EOF
	switch req.SiteID {
	case "cut":
		data, last = data[:1000], io.ErrUnexpectedEOF
	case "stalls":
		data, last = data[:1000], nil
	}
	ex.Body = newBody(ctx, data[ex.Offset:], last)
	return ex, nil
}

// memoryBody gives bytes a few at a time, and then its last error, or nothing.
type memoryBody struct {
	ctx    context.Context
	data   *bytes.Reader
	last   error
	once   sync.Once
	closed chan struct{}
}

func newBody(ctx context.Context, data []byte, last error) *memoryBody {
	return &memoryBody{ctx: ctx, data: bytes.NewReader(data), last: last, closed: make(chan struct{})}
}

func (b *memoryBody) Read(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, errors.New("closed")
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	default:
	}
	if b.data.Len() > 0 {
		return b.data.Read(p[:min(len(p), 700)])
	}
	if b.last != nil {
		return 0, b.last
	}
	select {
	case <-b.closed:
		return 0, errors.New("closed")
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func (b *memoryBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func memoryOptions() *backuptest.Options {
	return &backuptest.Options{
		Deterministic: true, Resumes: true,
		Other:   &backup.ExportRequest{SiteID: "another"},
		Stalled: &backup.ExportRequest{SiteID: "stalls"},
		Cut:     &backup.ExportRequest{SiteID: "cut"},
		Refusals: []backuptest.Refusal{
			{Name: "unknown site", Request: backup.ExportRequest{SiteID: "unknown"}, Class: backup.ClassPermanent},
		},
		Secrets: []string{"", "s3cr3t"},
	}
}
