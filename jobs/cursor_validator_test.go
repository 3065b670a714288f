package jobs

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	cursorPage  = 64 << 10
	cursorPages = 6
)

// pagedProvider is resumed by a cursor, breaks off behind two pages each time, and
// has a validator that is longer than what is kept.
type pagedProvider struct {
	validator string
	opened    atomic.Int32
	again     atomic.Int32 // began at the first byte
}

func (p *pagedProvider) Export(_ context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	p.opened.Add(1)
	at := 0
	if req.Cursor != "" {
		at, _ = strconv.Atoi(req.Cursor)
	} else {
		p.again.Add(1)
	}
	body := &pagedBody{page: at, left: 2}
	return &backup.Export{
		Body: body, Offset: int64(at) * cursorPage, Size: cursorPage * cursorPages, Validator: p.validator, ContentType: "text/plain",
		Cursor: func() string {
			if body.in > 0 || body.page == 0 {
				return ""
			}
			return strconv.Itoa(body.page)
		},
	}, nil
}

type pagedBody struct{ page, in, left int }

func (p *pagedBody) Read(b []byte) (int, error) {
	switch {
	case p.page == cursorPages:
		return 0, io.EOF
	case p.left == 0:
		return 0, errors.New("connection reset")
	}
	n := min(len(b), cursorPage-p.in)
	for i := range b[:n] {
		b[i] = byte(p.page)
	}
	if p.in += n; p.in == cursorPage {
		p.page, p.in, p.left = p.page+1, 0, p.left-1
	}
	return n, nil
}

func (p *pagedBody) Close() error { return nil }

// A validator that can't be kept makes an export without a cursor one that can't
// be resumed. One with a cursor goes on.
func TestCursorWithLongValidator(t *testing.T) {
	t.Parallel()
	for name, validator := range map[string]string{"none": "", "short": "v", "long": strings.Repeat("v", 1025), "control": "v\x01"} {
		t.Run(name, func(t *testing.T) {
			p := &pagedProvider{validator: validator}
			b := setup(t, setupOptions{config: func(c *backup.Config) {
				c.Providers = []backup.ProviderConfig{{Name: "site", Provider: p, MaxAttempts: 3}}
			}})
			b.work()
			got := b.wait(b.start())
			require.Equal(t, backup.StateDone, got.State, "%+v", got.Failure)
			require.EqualValues(t, 1, p.again.Load(), "how often it began at the first byte")
		})
	}
}
