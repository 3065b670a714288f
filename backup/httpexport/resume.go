package httpexport

import (
	"net/http"

	"github.com/sitebackup/sitebackup/backup"
)

// openPart makes an export of a 206, or returns errNoPart if it isn't what was
// asked for: one part that starts where the stored bytes end, of the export they
// are from.
func (p *Provider) openPart(c *call, resp *http.Response) (*backup.Export, error) {
	media, _, _ := parseMedia(resp.Header.Get("Content-Type"))
	fields := resp.Header.Values("Content-Range")
	if media == "multipart/byteranges" || len(fields) != 1 || !confirms(resp.Header, c.req.Validator) {
		return nil, errNoPart
	}
	r, err := parseContentRange(fields[0])
	if err != nil || r.first != c.req.Offset {
		return nil, errNoPart
	}
	if resp.ContentLength >= 0 && resp.ContentLength != r.last-r.first+1 {
		return nil, errNoPart
	}
	return p.openBody(c, resp, r.first, r.last+1, r.total)
}

// openEnd makes an empty export of a 416 that says that the stored bytes are the
// whole export, or returns errNoPart. A source that honors If-Range answers 416
// only if the validator holds (RFC 9110 §14.2); most don't repeat it then.
func (p *Provider) openEnd(c *call, resp *http.Response) (*backup.Export, error) {
	fields := resp.Header.Values("Content-Range")
	silent := isStrongETag(c.req.Validator) && len(resp.Header.Values("Etag")) == 0
	if len(fields) != 1 || !silent && !confirms(resp.Header, c.req.Validator) {
		return nil, errNoPart
	}
	r, err := parseContentRange(fields[0])
	if err != nil || r.first != -1 || r.total != c.req.Offset {
		return nil, errNoPart
	}
	return emptyExport(resp, c.req.Offset, c.req.Validator, p.declaredType()), nil
}
