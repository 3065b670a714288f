package httpexport

import (
	"errors"
	"slices"
	"strings"
)

var (
	errLink     = errors.New("invalid Link")
	errLinkNext = errors.New("its Link names more than one next page")
)

// nextLink returns the target of the link to the next page in Link fields (RFC
// 8288), or "" if there is none. What can't be read is an error, since it could
// have been that link: without it, the export would end here.
func nextLink(fields []string) (string, error) {
	next := ""
	for _, s := range fields {
		for s = skip(s); s != ""; s = skip(s) {
			l, rest, err := parseLink(s)
			if err != nil {
				return "", err
			}
			s = rest
			if !l.next {
				continue
			}
			if next != "" && next != l.target {
				return "", errLinkNext
			}
			next = l.target
		}
	}
	return next, nil
}

// skip drops the empty elements that a list may have (RFC 9110 §5.6.1).
func skip(s string) string { return strings.TrimLeft(s, ", \t") }

type link struct {
	target string
	next   bool
}

// parseLink reads a link-value (RFC 8288 §3), and returns what follows it.
func parseLink(s string) (l link, rest string, err error) {
	target, rest, closed := strings.Cut(s, ">")
	l.target = strings.TrimSpace(strings.TrimPrefix(target, "<"))
	if s[0] != '<' || !closed || l.target == "" || strings.ContainsAny(l.target, "<\" \t") {
		return link{}, "", errLink
	}
	var rel, anchored bool
	for {
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" || rest[0] == ',' {
			l.next = l.next && !anchored // else it is the next page of something else
			return l, rest, nil
		}
		if rest[0] != ';' {
			return link{}, "", errLink
		}
		var name, value string
		if name, value, rest, err = parseParam(rest[1:]); err != nil {
			return link{}, "", err
		}
		switch strings.ToLower(name) {
		case "rel":
			if !rel { // later ones don't count (§3.3)
				l.next = slices.ContainsFunc(strings.Fields(value), func(s string) bool { return strings.EqualFold(s, "next") })
			}
			rel = true
		case "anchor":
			anchored = true
		}
	}
}

// parseParam reads a link-param; name is empty for an empty one.
func parseParam(s string) (name, value, rest string, err error) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexAny(s, "=;, \t")
	if end < 0 {
		return s, "", "", nil
	}
	name, s = s[:end], strings.TrimLeft(s[end:], " \t")
	if s == "" || s[0] != '=' {
		return name, "", s, nil
	}
	s = strings.TrimLeft(s[1:], " \t")
	if s == "" || s[0] != '"' {
		end := strings.IndexAny(s, ";, \t")
		if end < 0 {
			end = len(s)
		}
		return name, s[:end], s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return name, b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				return "", "", "", errLink
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", "", errLink
}
