package httpexport

import (
	"fmt"
	"net/http"

	"github.com/sitebackup/sitebackup/backup"
)

// passing are the statuses below 500 that may pass.
var passing = map[int]bool{
	http.StatusAccepted: true, http.StatusRequestTimeout: true, http.StatusConflict: true,
	http.StatusMisdirectedRequest: true, http.StatusLocked: true, http.StatusTooEarly: true,
	http.StatusTooManyRequests: true,
}

var statusHints = map[int]string{
	http.StatusAccepted:            "The source is still preparing the export.",
	http.StatusPartialContent:      "The source sent a part although the whole was asked for.",
	http.StatusUnauthorized:        "The source did not accept the credential.",
	http.StatusForbidden:           "The credential does not allow this export.",
	http.StatusNotFound:            "Check the provider's URL, and whether the site still exists at the source.",
	http.StatusGone:                "The site no longer exists at the source.",
	http.StatusProxyAuthRequired:   "The proxy asks for a credential.",
	http.StatusTooManyRequests:     "The source limits requests: lower MaxWorkers of the provider.",
	http.StatusInternalServerError: "Look at the source's own logs.",
	http.StatusBadGateway:          "A gateway could not reach the source.",
	http.StatusServiceUnavailable:  "The source is overloaded or in maintenance.",
	http.StatusGatewayTimeout:      "A gateway gave up waiting for the source.",
}

// statusError returns the error for a response whose status has no export.
func (p *Provider) statusError(resp *http.Response) error {
	code := resp.StatusCode
	err := fmt.Errorf("%s: %d %s%s", describe(resp.Request), code, http.StatusText(code), mediaNote(resp))
	hint := statusHints[code]
	switch code {
	case http.StatusAccepted, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after, ok := parseRetryAfter(resp.Header.Get("Retry-After"), p.now()); ok {
			return backup.RetryAfter(err, after, hint)
		}
		if code != http.StatusAccepted {
			return backup.RetryAfter(err, 0, hint)
		}
	}
	if code >= 500 || passing[code] {
		return backup.Retryable(err, hint)
	}
	if hint == "" {
		hint = "The source refused the request: check the provider's URL and headers."
	}
	return backup.Permanent(err, hint)
}

// mediaNote tells a page from an API's answer. The body itself stays unread: it
// may hold secrets.
func mediaNote(resp *http.Response) string {
	media, _, ok := parseMedia(resp.Header.Get("Content-Type"))
	if !ok {
		return ""
	}
	return " (" + printable(media, 80) + ")"
}
