package backup

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxEncodedID      = 200
	maxIdempotencyKey = 255
	maxLabels         = 32
	maxLabelKey       = 63
	maxLabelValue     = 255
)

func (c *Client) validateStarts(ps []StartParams) error {
	for i := range ps {
		if err := c.validateStart(&ps[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) validateStart(p *StartParams) error {
	if err := validateSubject("userId", p.UserID); err != nil {
		return err
	}
	if err := validateSubject("siteId", p.SiteID); err != nil {
		return err
	}
	for _, name := range p.Providers {
		// Where there is a key, it may have been used under another configuration.
		if ValidateProviderName(name) != nil || !p.scoped() && !c.configured(name) {
			return errProviders()
		}
	}
	if len(p.IdempotencyKey) > maxIdempotencyKey || !printable(p.IdempotencyKey) {
		return &FieldError{"idempotencyKey", "must have at most 255 bytes and no control characters"}
	}
	if err := p.validateOnce(); err != nil {
		return err
	}
	if p.MaxSize < 0 {
		return &FieldError{"sizeLimit", "must not be negative"}
	}
	return validateLabels(p.Labels)
}

func (c *Client) configured(provider string) bool {
	return len(c.providers) == 0 || c.providers[provider] != nil
}

func errProviders() error {
	return &FieldError{"providers", "must name configured providers only"}
}

// validateSubject checks the id of a user or a site.
func validateSubject(field, id string) error {
	switch {
	case id == "":
		return &FieldError{field, "must not be empty"}
	case !utf8.ValidString(id):
		return &FieldError{field, "must be valid UTF-8"}
	case !printable(id):
		return &FieldError{field, "must not have control characters"}
	case len(id) > maxEncodedID || len(escapeSegment(id)) > maxEncodedID:
		return &FieldError{field, "must have at most 200 bytes when percent-encoded"}
	}
	return nil
}

func validateLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return &FieldError{"labels", "must be at most 32"}
	}
	for k, v := range labels {
		if k == "" || len(k) > maxLabelKey || len(v) > maxLabelValue || !printable(k) || !printable(v) {
			return &FieldError{"labels", "must have keys of 1 to 63 bytes and values of at most 255, without control characters"}
		}
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
