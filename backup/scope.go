package backup

import (
	"slices"
	"strings"
)

// Scope says whose backups somebody may see: those whose user matches one of
// Users and whose site matches one of Sites. In a pattern * stands for any run of
// characters, an empty one too; nothing else is special, and letters' case
// counts. An empty list matches all, so that the zero Scope is everybody's.
type Scope struct {
	Users []string
	Sites []string
}

const (
	maxScopePatterns = 1000
	maxScopePattern  = 255 // bytes
)

// Validate returns a *FieldError, for "users" or "sites", unless each list has at
// most 1,000 patterns of 1 to 255 bytes of UTF-8 without control characters.
func (s Scope) Validate() error {
	if err := validatePatterns("users", s.Users); err != nil {
		return err
	}
	return validatePatterns("sites", s.Sites)
}

func validatePatterns(field string, patterns []string) error {
	if len(patterns) > maxScopePatterns {
		return &FieldError{field, "must be at most 1,000 patterns"}
	}
	for _, p := range patterns {
		if p == "" || len(p) > maxScopePattern || !printable(p) {
			return &FieldError{field, "must be patterns of 1 to 255 bytes of UTF-8 without control characters"}
		}
	}
	return nil
}

// Allows reports whether the backups of the user's site may be seen.
func (s Scope) Allows(userID, siteID string) bool {
	return matchesAny(s.Users, userID) && matchesAny(s.Sites, siteID)
}

func matchesAny(patterns []string, id string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, id) })
}

// matches takes the pieces between the stars where they come first, which is
// right since a star takes anything, and the last piece at the end.
func matches(pattern, id string) bool {
	pieces := strings.Split(pattern, "*")
	if len(pieces) == 1 {
		return id == pattern
	}
	id, ok := strings.CutPrefix(id, pieces[0])
	if !ok {
		return false
	}
	last := len(pieces) - 1
	for _, piece := range pieces[1:last] {
		if _, id, ok = strings.Cut(id, piece); !ok {
			return false
		}
	}
	return strings.HasSuffix(id, pieces[last])
}

// where adds the scope to a statement over the alias b, so that a page is full of
// what may be seen. Patterns are arguments: the statement's text depends only on
// whether there are any of either sort.
func (s Scope) where(args named) string { return s.whereIn("b", args) }

// whereIn is where over another alias.
func (s Scope) whereIn(alias string, args named) string {
	return inPatterns(alias+".user_id", "users", s.Users, args) + inPatterns(alias+".site_id", "sites", s.Sites, args)
}

// inPatterns compares a column by equality as far as it can: LIKE uses no index
// under most collations.
func inPatterns(column, name string, patterns []string, args named) string {
	var exact, like []string
	for _, p := range patterns {
		if strings.Contains(p, "*") {
			like = append(like, likePattern.Replace(p))
		} else {
			exact = append(exact, p)
		}
	}
	switch {
	case len(patterns) == 0:
		return ""
	case len(like) == 0:
		args[name] = exact
		return " AND " + column + " = ANY (@" + name + "::text[])"
	default:
		args[name], args[name+"_like"] = exact, like
		return " AND (" + column + " = ANY (@" + name + "::text[]) OR " + column + " LIKE ANY (@" + name + "_like::text[]))"
	}
}

// likePattern makes a pattern of LIKE, whose escape is the backslash.
var likePattern = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`, "*", "%")
