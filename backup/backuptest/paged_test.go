package backuptest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/backuptest"
)

// paged is memory, in pages. It can go on only behind a page, by a cursor that
// says where that is and whose pages they are. There is no validator.
type paged struct{}

const pageSize = 7001 // the last one is shorter

func (paged) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	from, owner, _ := strings.Cut(req.Cursor, "@")
	first := *req
	first.Offset, first.Validator, first.Cursor = 0, "", ""
	ex, err := memory{1}.Export(ctx, &first)
	if err != nil {
		return nil, err
	}
	if req.Cursor != "" {
		at, err := strconv.ParseInt(from, 10, 64)
		if err != nil || owner != req.SiteID || at != req.Offset || (at%pageSize != 0 && at != memorySize) {
			_ = ex.Body.Close()
			return nil, backup.Retryable(errors.New("the cursor is of another export"), "start over")
		}
		ex.Offset = at
	}
	mem := ex.Body.(*memoryBody)
	_, _ = mem.data.Seek(ex.Offset, io.SeekStart)
	pages := &pages{memoryBody: mem, at: ex.Offset}
	ex.Body, ex.Validator = pages, ""
	ex.Cursor = func() string {
		if pages.at%pageSize > 0 && pages.at < memorySize {
			return ""
		}
		return fmt.Sprintf("%d@%s", pages.at, req.SiteID)
	}
	return ex, nil
}

type pages struct {
	*memoryBody
	at int64
}

func (p *pages) Read(b []byte) (int, error) {
	n, err := p.memoryBody.Read(b[:min(int64(len(b)), pageSize-p.at%pageSize)])
	p.at += int64(n)
	return n, err
}

func TestPaged(t *testing.T) {
	t.Parallel()
	backuptest.Run(t, paged{}, memoryOptions())
}

// spoiledPages is a good paged provider whose exports are changed.
func spoiledPages(change func(ctx context.Context, req *backup.ExportRequest, ex *backup.Export)) providerFunc {
	return func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		ex, err := paged{}.Export(ctx, req)
		if err == nil {
			change(ctx, req, ex)
		}
		return ex, err
	}
}

// cursors changes each cursor.
func cursors(change func(string) string) providerFunc {
	return spoiledPages(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
		good := ex.Cursor
		ex.Cursor = func() string { return change(good()) }
	})
}

// brokenPages are paged providers that break a promise.
func brokenPages() map[string]broken {
	return map[string]broken{
		"has a cursor in mid-page": {[]string{"Resume"}, "resume at",
			spoiledPages(func(_ context.Context, req *backup.ExportRequest, ex *backup.Export) {
				ex.Cursor = func() string {
					return fmt.Sprintf("%d@%s", max(pageSize, ex.Body.(*pages).at/pageSize*pageSize), req.SiteID)
				}
			}), nil},
		"goes on a page too far": {[]string{"Resume"}, "is not what follows",
			spoiledPages(func(ctx context.Context, req *backup.ExportRequest, ex *backup.Export) {
				ex.Size, ex.End = -1, framed
				goOn(ctx, req, ex, req.Offset+pageSize)
			}), nil},
		"takes any cursor": {[]string{"ResumeWithWrongCursor"}, "is not what follows",
			trusting(), nil},
		"takes no cursor for any": {[]string{"ResumeWithoutValidator"}, "must start over",
			spoiledPages(func(ctx context.Context, req *backup.ExportRequest, ex *backup.Export) {
				if req.Cursor == "" {
					goOn(ctx, req, ex, req.Offset)
				}
			}), nil},
		"never has a cursor":         {[]string{"Resume"}, "no Cursor", cursors(func(string) string { return "" }), nil},
		"has an endless cursor":      {[]string{"Resume"}, "more than 8192", cursors(func(c string) string { return c + strings.Repeat("x", 9000) }), nil},
		"has lines in its cursor":    {[]string{"Resume"}, "control character", cursors(func(c string) string { return c + "\n" }), nil},
		"has bytes in its cursor":    {[]string{"Resume"}, "not UTF-8", cursors(func(c string) string { return c + "\xff" }), nil},
		"tells a secret in a cursor": {[]string{"Resume"}, "what Cursor returned has Options.Secrets[1] in it", cursors(func(c string) string { return c + "s3cr3t" }), nil},
	}
}

// trusting goes on where the cursor says, wherever that is, and says that it is
// what was asked for.
func trusting() providerFunc {
	return func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		first := *req
		first.Cursor = ""
		ex, err := paged{}.Export(ctx, &first)
		if err == nil && req.Cursor != "" {
			from, _, _ := strings.Cut(req.Cursor, "@")
			at, _ := strconv.ParseInt(from, 10, 64)
			ex.Size, ex.End = -1, framed
			goOn(ctx, req, ex, at)
		}
		return ex, err
	}
}
