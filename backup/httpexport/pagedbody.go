package httpexport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/sitebackup/sitebackup/backup"
)

// pagedBody is the body of an export that comes in pages.
type pagedBody struct {
	p      *Provider
	ctx    context.Context // ended by Close
	cancel context.CancelFunc
	first  *url.URL
	req    *backup.ExportRequest

	mu     sync.Mutex // for page and closed: Close is called while Read waits
	page   *backup.Export
	closed bool

	pages int
	read  bool   // something of the page was read
	ended bool   // the page was read to its end
	next  string // the mark of the page behind it
	mark  string // next, while the last byte that was read is a page's last
	loop  string // an earlier mark, which must not come again (see follow)
	err   error  // what ended the body; it stays
}

// Read reads from one page at most. It returns 0 bytes and no error where a page
// turned out to have ended with the last Read, so that the mark is known there.
func (b *pagedBody) Read(p []byte) (int, error) {
	for b.err == nil {
		if b.ended {
			if b.err = b.turn(); b.err != nil {
				break
			}
		}
		n, err := b.page.Body.Read(p)
		if n > 0 {
			b.read, b.mark = true, ""
		}
		switch {
		case err == io.EOF:
			b.err = b.endPage()
		case err != nil:
			b.err = b.named(err)
		}
		if n > 0 && b.err == io.EOF { //nolint:errorlint // endPage's own
			return n, io.EOF
		}
		if n > 0 || b.err == nil && (!b.ended || b.read) {
			return n, b.err
		}
	}
	return 0, b.err
}

// cursor is Export.Cursor.
func (b *pagedBody) cursor() string {
	if b.p.config.NoResume {
		return ""
	}
	return b.mark
}

// endPage checks that the end of a page is proven. It returns io.EOF at the end
// of the last one.
func (b *pagedBody) endPage() error {
	var end backup.End
	if b.page.End != nil {
		var err error
		if end, err = b.page.End(); err != nil {
			return b.named(err)
		}
	}
	if b.page.Size < 0 && !end.Framed && !end.DigestChecked {
		return b.named(backup.Permanent(errors.New("nothing proves the end of the page: no length, no digest, no framing"),
			"Make the source announce the lengths of its pages, or use chunked coding."))
	}
	_ = b.page.Body.Close() // read to its end
	if b.next == "" {
		return io.EOF
	}
	b.ended, b.mark = true, b.next
	return nil
}

// turn opens the next page.
func (b *pagedBody) turn() error {
	if b.pages >= b.p.config.Pages.MaxPages {
		return b.endless(fmt.Errorf("there are more than %d pages", b.pages))
	}
	u := b.p.page(b.first, b.next)
	if u == nil {
		return b.named(backup.Permanent(errLink, nextHint))
	}
	mark := b.next
	if err := b.open(u); err != nil {
		return err
	}
	return b.follow(mark)
}

// follow looks for loops: mark, of the page that was opened, is kept at each power
// of two, and compared with those that come (Brent's algorithm). So a loop is
// found within a few turns, whatever its length, and nothing grows.
func (b *pagedBody) follow(mark string) error {
	if b.next != "" && (b.next == mark || b.next == b.loop) {
		return b.endless(errors.New("its next page is an earlier one"))
	}
	if b.pages&(b.pages-1) == 0 {
		b.loop = mark
	}
	return nil
}

func (b *pagedBody) endless(err error) error {
	return b.named(backup.Permanent(err, "The source's pages lead in a circle: look at what it says is the next page."))
}

const nextHint = "Look at what the source says is the next page."

// open opens the page at u.
func (b *pagedBody) open(u *url.URL) error {
	b.pages++
	c := &call{ctx: b.ctx, method: http.MethodGet, req: b.req, start: u, page: true}
	resp, err := b.p.do(c)
	if err != nil {
		return b.named(err)
	}
	page, err := b.p.open(c, resp)
	if err == nil {
		b.next, err = b.nextOf(c, resp)
	}
	if err == nil && b.page != nil && page.ContentType != b.page.ContentType {
		err = backup.Retryable(fmt.Errorf("%s: another content type than that of the page before", describe(resp.Request)),
			"The source may have sent an error instead of the page.")
	}
	if err != nil {
		_ = resp.Body.Close()
		return b.named(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		_ = page.Body.Close()
		return b.named(context.Canceled)
	}
	b.page, b.read, b.ended = page, false, false
	return nil
}

func (b *pagedBody) nextOf(c *call, resp *http.Response) (string, error) {
	next, err := b.p.next(c, resp)
	if err != nil {
		return "", backup.Permanent(fmt.Errorf("%s: %w", describe(resp.Request), err), nextHint)
	}
	return next, nil
}

// named says in an error which page it is about, counted from the attempt's first.
func (b *pagedBody) named(err error) error {
	c := backup.Classify(err)
	named := *c
	named.Err = fmt.Errorf("page %d: %w", b.pages, c.Err)
	return &named
}

// Close ends a Read that waits.
func (b *pagedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cancel()
	return b.page.Body.Close()
}

// end is Export.End: each page's end was proven before the next one was asked for.
func (b *pagedBody) end() (backup.End, error) {
	if b.err != io.EOF { //nolint:errorlint // only io.EOF itself is the end
		return backup.End{}, errors.New("end export: the body was not read to its end")
	}
	return backup.End{Framed: true}, nil
}
