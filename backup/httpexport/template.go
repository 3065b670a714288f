package httpexport

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
)

// template is Config.URL, parsed.
type template []part

// part is a piece of a template: text, or else an id.
type part struct {
	text   string
	name   string
	value  func(*backup.ExportRequest) string
	escape func(string) string
}

var placeholders = map[string]func(*backup.ExportRequest) string{
	"userId":   func(r *backup.ExportRequest) string { return r.UserID },
	"siteId":   func(r *backup.ExportRequest) string { return r.SiteID },
	"backupId": func(r *backup.ExportRequest) string { return r.BackupID },
}

// parseTemplate returns the template that s is. Its errors don't quote s: a query
// may hold a secret.
func parseTemplate(s string) (template, error) {
	if scheme, _, ok := strings.Cut(s, "://"); !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return nil, errors.New("URL must begin with http:// or https://")
	}
	t, err := split(s)
	if err != nil {
		return nil, err
	}
	u, err := t.expand(&backup.ExportRequest{UserID: "x", SiteID: "x", BackupID: "x"})
	if err != nil {
		return nil, fmt.Errorf("URL must be valid: %w", err)
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("URL must have a host")
	case u.User != nil:
		return nil, errors.New("URL must not have a user name or password: use Authorize")
	case strings.Contains(s, "#"):
		return nil, errors.New("URL must not have a fragment")
	}
	return t, nil
}

// split cuts s into its parts.
func split(s string) (template, error) {
	var t template
	for done := ""; s != ""; {
		text, rest, found := strings.Cut(s, "{")
		if strings.Contains(text, "}") {
			return nil, errors.New("URL must not have a } without a {")
		}
		t, done, s = append(t, part{text: text}), done+text, rest
		if !found {
			break
		}
		name, rest, found := strings.Cut(s, "}")
		value, known := placeholders[name]
		if !found || !known {
			return nil, errors.New("URL must have no placeholders but {userId}, {siteId} and {backupId}")
		}
		escape, err := escapeAfter(done)
		if err != nil {
			return nil, err
		}
		t, s = append(t, part{name: name, value: value, escape: escape}), rest
	}
	return t, nil
}

// escapeAfter returns how to escape an id behind the text that begins a URL.
func escapeAfter(text string) (func(string) string, error) {
	_, text, _ = strings.Cut(text, "://")
	switch {
	case strings.Contains(text, "?"):
		return url.QueryEscape, nil
	case strings.Contains(text, "/"):
		return url.PathEscape, nil
	}
	return nil, errors.New("URL must have placeholders in its path and query only")
}

// expand returns the URL for the ids in req.
func (t template) expand(req *backup.ExportRequest) (*url.URL, error) {
	var b strings.Builder
	for _, p := range t {
		if p.value == nil {
			b.WriteString(p.text)
			continue
		}
		id := p.value(req)
		if id == "" {
			return nil, fmt.Errorf("%s must not be empty", p.name)
		}
		b.WriteString(p.escape(id))
	}
	u, err := url.Parse(b.String())
	if err != nil {
		return nil, withoutURL(err)
	}
	if climbs(u.Path) {
		return nil, errors.New(`its path must not have a "." or ".." segment`)
	}
	return u, nil
}

// climbs reports whether a decoded path has a dot segment. Escaping the dots is
// no help, since %2E is equivalent to a dot (RFC 3986 §6.2.2.2); nor is it
// enough to escape a slash, since some servers decode a path before they resolve
// its dot segments. Some take a backslash for a slash.
func climbs(path string) bool {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
	return slices.Contains(segments, ".") || slices.Contains(segments, "..")
}

// withoutURL returns what is wrong with a URL without quoting it.
func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
