package httpexport

import (
	"cmp"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
)

var htmlTypes = []string{"text/html", "application/xhtml+xml"}

// checkMedia returns the content type to store for a response that has an
// export, or an error if it has something else.
func (p *Provider) checkMedia(resp *http.Response) (string, error) {
	if err := p.checkEncoding(resp); err != nil {
		return "", err
	}
	field := resp.Header.Get("Content-Type")
	if field == "" && (resp.StatusCode == http.StatusPartialContent || resp.ContentLength == 0) {
		return p.declaredType(), nil // neither has to have one
	}
	media, params, known := parseMedia(field)
	if declared := p.config.ContentType; len(declared) > 0 {
		if !slices.Contains(declared, media) {
			return "", mediaError(resp, media)
		}
	} else if slices.Contains(htmlTypes, media) {
		return "", mediaError(resp, media)
	}
	if !known {
		return "application/octet-stream", nil // RFC 9110 §8.3
	}
	return mime.FormatMediaType(media, params), nil
}

// parseMedia reads a Content-Type field. An invalid one is as good as none.
func parseMedia(field string) (media string, params map[string]string, ok bool) {
	media, params, err := mime.ParseMediaType(field)
	if err != nil || !strings.Contains(media, "/") {
		return "", nil, false
	}
	return media, params, true
}

// declaredType is the content type of an export that doesn't say its own.
func (p *Provider) declaredType() string {
	if len(p.config.ContentType) == 1 {
		return p.config.ContentType[0]
	}
	return ""
}

func mediaError(resp *http.Response, media string) error {
	name := cmp.Or(printable(media, 80), "none")
	err := fmt.Errorf("%s: %d with a content type that is not declared: %s", describe(resp.Request), resp.StatusCode, name)
	if slices.Contains(htmlTypes, media) {
		return backup.Retryable(err, "The source sent a page, as for a login or a maintenance, and no export.")
	}
	return backup.Permanent(err, "Declare the content types that the source's exports have, or check the provider's URL.")
}

// checkEncoding refuses a coded export unless it is to be stored coded.
func (p *Provider) checkEncoding(resp *http.Response) error {
	if resp.Uncompressed {
		return backup.Permanent(errors.New("the transport decoded the export, which hides its length"),
			"Config.Transport must not decode content codings.")
	}
	codings := strings.Split(strings.Join(resp.Header.Values("Content-Encoding"), ","), ",")
	coded := slices.ContainsFunc(codings, func(s string) bool {
		s = strings.TrimSpace(s)
		return s != "" && !strings.EqualFold(s, "identity")
	})
	if !coded || p.config.AllowEncoded {
		return nil
	}
	return backup.Permanent(fmt.Errorf("%s: the export has a content coding", describe(resp.Request)),
		"Make the source honor Accept-Encoding: identity, or set AllowEncoded to store exports coded.")
}
