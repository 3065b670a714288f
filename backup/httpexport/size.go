package httpexport

import (
	"context"
	"net/http"

	"github.com/sitebackup/sitebackup/backup"
)

var _ backup.Sizer = (*Provider)(nil)

// Size asks for the size of an export with HEAD, as backup.Sizer says: with the
// URL, headers, credential and redirects of the export itself, within
// Config.SizeTimeout. Pages have none. It returns -1 if the source doesn't say, or if what it says
// is not of the export: a Content-Length of 0 is what many servers answer to each
// HEAD, and that of an HTML page or a coded body is that of something else. A status
// other than 200, 204, 404, 405 and 501 is an error besides; so is no answer in
// time.
func (p *Provider) Size(ctx context.Context, req *backup.ExportRequest) (int64, error) {
	if p.config.NoHead || p.config.Pages != nil {
		return -1, nil
	}
	u, err := p.expand(req)
	if err != nil {
		return -1, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.SizeTimeout)
	defer cancel()
	resp, err := p.do(&call{ctx: ctx, method: http.MethodHead, req: req, start: u})
	if err != nil {
		return -1, err
	}
	_ = resp.Body.Close() // a HEAD has none
	switch resp.StatusCode {
	case http.StatusOK:
		if _, err := p.checkMedia(resp); err != nil || resp.ContentLength == 0 {
			return -1, nil
		}
		return resp.ContentLength, nil
	case http.StatusNoContent, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return -1, nil // sources that know GET only
	}
	return -1, p.statusError(resp)
}
