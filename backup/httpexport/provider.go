package httpexport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

// Provider reads exports from one HTTP export API. Make it with New; many
// goroutines may use it at once.
type Provider struct {
	config    *Config
	template  template
	transport http.RoundTripper
	now       func() time.Time
}

var _ backup.Provider = (*Provider)(nil)

// New returns a provider for config, which it copies, or an error that names the
// field that is wrong and its rule.
func New(config *Config) (*Provider, error) {
	c := config.withDefaults()
	t, err := parseTemplate(c.URL)
	if err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &Provider{config: c, template: t, transport: c.Transport, now: systemNow}
	if p.transport == nil {
		p.transport = newTransport(c)
	}
	return p, nil
}

// CloseIdleConnections closes connections that no export is using.
func (p *Provider) CloseIdleConnections() {
	if c, ok := p.transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// errNoPart means that a source's answer to a request for a part can't be joined
// to what is stored.
var errNoPart = errors.New("the answer is not the part asked for")

// Export begins an export, as backup.Provider says.
func (p *Provider) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	u, err := p.expand(req)
	if err != nil {
		return nil, err
	}
	if p.config.Pages != nil {
		return p.exportPages(ctx, req, u)
	}
	if req.Offset > 0 && isValidator(req.Validator) && !p.config.NoResume {
		export, err := p.export(&call{ctx: ctx, method: http.MethodGet, req: req, start: u, part: true})
		if !errors.Is(err, errNoPart) {
			return export, err
		}
	}
	return p.export(&call{ctx: ctx, method: http.MethodGet, req: req, start: u})
}

// expand returns the URL of an export.
func (p *Provider) expand(req *backup.ExportRequest) (*url.URL, error) {
	u, err := p.template.expand(req)
	if err != nil {
		return nil, backup.Permanent(fmt.Errorf("make URL for user %q, site %q: %w", req.UserID, req.SiteID, err),
			"The ids can't be put into the provider's URL.")
	}
	return u, nil
}

// export makes the request, and closes the response unless it has the export.
func (p *Provider) export(c *call) (*backup.Export, error) {
	resp, err := p.do(c)
	if err != nil {
		return nil, err
	}
	export, err := p.open(c, resp)
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return export, nil
}

// open makes an export of a response.
func (p *Provider) open(c *call, resp *http.Response) (*backup.Export, error) {
	switch {
	case resp.StatusCode == http.StatusOK && !c.page && saysPart(resp):
		if c.part {
			return nil, errNoPart
		}
		err := fmt.Errorf("%s: 200 with the Content-Range of a part", describe(resp.Request))
		return nil, backup.Permanent(err, statusHints[http.StatusPartialContent])
	case resp.StatusCode == http.StatusOK:
		return p.openBody(c, resp, 0, resp.ContentLength, resp.ContentLength)
	case c.part && resp.StatusCode == http.StatusNoContent: // of what follows the part, or of the whole?
		return nil, errNoPart
	case resp.StatusCode == http.StatusNoContent:
		return emptyExport(resp, 0, "", p.declaredType()), nil
	case c.part && resp.StatusCode == http.StatusPartialContent:
		return p.openPart(c, resp)
	case c.part && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return p.openEnd(c, resp)
	}
	return nil, p.statusError(resp)
}

// openBody makes an export of a response whose body has the bytes from offset up to
// end of an export of size bytes; -1 is for what nobody said.
func (p *Provider) openBody(c *call, resp *http.Response, offset, end, size int64) (*backup.Export, error) {
	contentType, err := p.checkMedia(resp)
	if err != nil {
		return nil, err
	}
	whole := resp.StatusCode == http.StatusOK
	digest, err := newDigester(resp, whole, c.page)
	if err != nil {
		return nil, backup.Permanent(fmt.Errorf("%s: %w", describe(resp.Request), err), "The source sends digests that can't be right.")
	}
	b := &body{resp: resp, digest: digest, left: -1, framed: isFramed(resp), open: end != size}
	if end >= 0 {
		b.left = end - offset
	}
	validator := validatorOf(resp.Header)
	if !whole {
		validator = c.req.Validator
	}
	return &backup.Export{
		Body: b, Offset: offset, Size: size, Validator: validator, ContentType: contentType, End: b.end,
		SHA256: digest.announced(),
	}, nil
}

// emptyExport makes an export of a response that says that nothing follows. Its
// size proves that.
func emptyExport(resp *http.Response, offset int64, validator, contentType string) *backup.Export {
	_ = resp.Body.Close()
	return &backup.Export{
		Body: http.NoBody, Offset: offset, Size: offset, Validator: validator, ContentType: contentType,
	}
}
