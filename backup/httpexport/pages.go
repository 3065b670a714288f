package httpexport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/sitebackup/sitebackup/backup"
)

// Pages is how a source sends an export in pages, each of which is the response
// to a request of its own and tells where the next one is. The export is their
// bodies, one behind the other. The first page is at Config.URL.
//
// The end of each page must be proven, by a length, a digest, or framing; there is
// no exception. The page that names no next one is the last. An attempt goes on
// with the page behind the last one that was stored; a source that doesn't know
// it any more is asked for the first one.
//
// By default a page names the next one in a Link header with rel="next" (RFC 8288),
// as GitHub does. It must be on the URL's own scheme, host and port. Its path and
// query are stored in the database, so that they must hold no secret: a source
// whose links carry tokens has to use CursorHeader.
type Pages struct {
	// CursorHeader is the response header that has an opaque mark of the next page.
	// A page without it is the last. The mark is stored in the database, and must
	// be no secret. Defaults to none: Link names the next page.
	CursorHeader string

	// CursorParam is the parameter in the URL's query that takes the mark. Required
	// with CursorHeader, and only then.
	CursorParam string

	// MaxPages is how many pages an export may have: more are taken for an endless
	// loop. Defaults to 1,000,000.
	MaxPages int
}

// withDefaults returns a copy of g, or nil.
func (g *Pages) withDefaults() *Pages {
	if g == nil {
		return nil
	}
	d := *g
	d.CursorHeader = http.CanonicalHeaderKey(g.CursorHeader)
	d.MaxPages = cmp.Or(g.MaxPages, 1_000_000)
	return &d
}

func (g *Pages) validate() error {
	switch {
	case g == nil:
		return nil
	case (g.CursorHeader == "") != (g.CursorParam == ""):
		return errors.New("Pages.CursorHeader and Pages.CursorParam must be set together")
	case g.CursorHeader != "" && !httpguts.ValidHeaderFieldName(g.CursorHeader):
		return errors.New("Pages.CursorHeader must be a valid header name")
	case g.MaxPages < 1:
		return errors.New("Pages.MaxPages must be at least 1")
	}
	return nil
}

// The kinds of marks that name a page. They tell marks apart that were made
// before the configuration was changed.
const (
	linkMark   = "link:"   // and a path and query
	cursorMark = "cursor:" // and what CursorHeader said
)

const maxMark = 8 << 10

var errMark = errors.New("its mark of the next page is too long or not text")

// next returns the mark of the page that a response names as the next, or "".
func (p *Provider) next(c *call, resp *http.Response) (string, error) {
	mark := ""
	if name := p.config.Pages.CursorHeader; name != "" {
		values := resp.Header.Values(name)
		if len(values) > 1 {
			return "", fmt.Errorf("more than one %s", name)
		}
		if value := resp.Header.Get(name); value != "" {
			mark = cursorMark + value
		}
	} else {
		target, err := nextLink(resp.Header.Values("Link"))
		if err != nil || target == "" {
			return "", err
		}
		u, err := resp.Request.URL.Parse(target)
		switch {
		case err != nil || u.User != nil || target[0] == '#': // that would be this page
			return "", errLink
		case origin(u) != origin(c.start):
			return "", fmt.Errorf("its next page is elsewhere, at %s", printable(u.Scheme+"://"+u.Host, 200))
		}
		mark = linkMark + u.RequestURI()
	}
	if len(mark) > maxMark || !utf8.ValidString(mark) || strings.ContainsFunc(mark, unicode.IsControl) {
		return "", errMark
	}
	return mark, nil
}

// page returns the URL of the page that a mark names, or nil if it is none of
// ours.
func (p *Provider) page(first *url.URL, mark string) *url.URL {
	if cursor, ok := strings.CutPrefix(mark, cursorMark); ok && p.config.Pages.CursorParam != "" {
		u := *first
		query := u.Query()
		query.Set(p.config.Pages.CursorParam, cursor)
		u.RawQuery = query.Encode()
		return &u
	}
	if target, ok := strings.CutPrefix(mark, linkMark); ok && p.config.Pages.CursorParam == "" {
		// Not first.Parse: it takes //host for another host.
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || u.Scheme != "" {
			return nil
		}
		u.Scheme, u.Host = first.Scheme, first.Host
		return u
	}
	return nil
}

// exportPages is Export of a source that sends pages.
func (p *Provider) exportPages(ctx context.Context, req *backup.ExportRequest, first *url.URL) (*backup.Export, error) {
	if req.Offset > 0 && !p.config.NoResume {
		if u := p.page(first, req.Cursor); u != nil {
			export, err := p.openPages(ctx, req, first, u, req.Cursor, req.Offset)
			if err == nil || backup.Classify(err).Class != backup.ClassPermanent {
				return export, err
			}
			// The source may have forgotten the page; the first one will tell.
		}
	}
	return p.openPages(ctx, req, first, first, "", 0)
}

func (p *Provider) openPages(ctx context.Context, req *backup.ExportRequest, first, at *url.URL, mark string, offset int64) (*backup.Export, error) {
	b := &pagedBody{p: p, first: first, req: req, loop: mark}
	b.ctx, b.cancel = context.WithCancel(ctx)
	if err := b.open(at); err != nil {
		b.cancel()
		return nil, err
	}
	return &backup.Export{
		Body: b, Offset: offset, Size: -1, ContentType: b.page.ContentType, Cursor: b.cursor, End: b.end,
	}, nil
}
