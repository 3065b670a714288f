package httpexport

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
)

// call is one export being asked for: the request, and where it goes.
type call struct {
	ctx    context.Context
	method string // GET or HEAD
	req    *backup.ExportRequest
	start  *url.URL // whose scheme, host and port get the credential
	part   bool     // ask for what follows req.Offset
	page   bool     // the response is a page of the export
}

// roundTrip makes the request for u, which is c.start or where it redirected to.
func (p *Provider) roundTrip(c *call, u *url.URL) (*http.Response, error) {
	r, err := http.NewRequestWithContext(c.ctx, c.method, u.String(), http.NoBody)
	if err != nil {
		return nil, backup.Permanent(fmt.Errorf("make request: %w", withoutURL(err)), "")
	}
	if err := p.fill(c, r); err != nil {
		return nil, err
	}
	resp, err := p.transport.RoundTrip(r)
	if err != nil {
		return nil, backup.Retryable(fmt.Errorf("%s: %w", describe(r), safe(err)), networkHint(err))
	}
	if resp.Request == nil {
		resp.Request = r // a transport of the caller's own may leave it out
	}
	return resp, nil
}

// fill sets the headers of a request. Those from Config and the credential go to
// the source itself only.
func (p *Provider) fill(c *call, r *http.Request) error {
	own := origin(r.URL) == origin(c.start)
	if own && p.config.Header != nil {
		r.Header = p.config.Header.Clone()
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "sitebackup")
	}
	if len(p.config.ContentType) > 0 && r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", strings.Join(p.config.ContentType, ", "))
	}
	c.frame(r.Header)
	if !own || p.config.Authorize == nil {
		return nil
	}
	what := describe(r) // before Authorize may change it
	req := *c.req
	if err := p.config.Authorize(c.ctx, r, &req); err != nil {
		return fmt.Errorf("authorize %s: %w", what, err)
	}
	c.frame(r.Header) // a signature may need these before, the transfer needs them after
	return nil
}

// frame sets the headers that decide how the export is transferred.
func (c *call) frame(h http.Header) {
	h.Set("Accept-Encoding", "identity")
	h.Del("Range")
	h.Del("If-Range")
	if c.part {
		h.Set("Range", fmt.Sprintf("bytes=%d-", c.req.Offset))
		h.Set("If-Range", c.req.Validator)
	}
}
