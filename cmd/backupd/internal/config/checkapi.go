package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/httpapi"
)

// Tokens are those of the file. What is wrong with them was said when it was
// read.
func (a *API) tokens() []httpapi.Token {
	tokens := make([]httpapi.Token, len(a.Tokens))
	for i, t := range a.Tokens {
		tokens[i] = httpapi.Token{Name: t.Name, SHA256: t.SHA256, Users: t.Users, Sites: t.Sites}
		for _, name := range t.Scopes {
			scope, _ := httpapi.ParseScope(name)
			tokens[i].Scopes |= scope
		}
	}
	return tokens
}

// Callers knows the callers by the tokens of the file. It is nil where there are
// none, and nobody is asked.
func (a *API) Callers() (*httpapi.Tokens, error) {
	if len(a.Tokens) == 0 {
		return nil, nil //nolint:nilnil // nobody is asked
	}
	known, err := httpapi.NewTokens(a.tokens())
	if err != nil {
		return nil, fmt.Errorf("api.tokens: %w", err)
	}
	return known, nil
}

func (f *File) checkAPI(add adder) Problems {
	var ps Problems
	seen := make(map[string]bool)
	tokens := f.API.tokens()
	for i := range f.API.Tokens {
		t, path := &f.API.Tokens[i], fmt.Sprintf("api.tokens[%d]", i)
		for j, name := range t.Scopes {
			if _, err := httpapi.ParseScope(name); err != nil {
				add(fmt.Sprintf("%s.scopes[%d]", path, j), "%s", err)
				tokens[i].Scopes = httpapi.ScopeRead // that was said
			}
		}
		if f.bad[path] { // it was no mapping
			continue
		}
		valid := httpapi.Token{Name: "name", SHA256: httpapi.HashToken(""), Scopes: httpapi.ScopeRead}
		ps = append(ps, slices.DeleteFunc(f.FieldProblems(path, &tokens[i], &valid, tokens[i].Validate),
			func(p Problem) bool { return f.bad[p.Path] })...)
		for _, v := range []struct{ key, value string }{{"name", t.Name}, {"sha256", strings.ToLower(t.SHA256)}} {
			if v.value != "" && seen[v.key+" "+v.value] {
				add(path+"."+v.key, "is there twice") // without the value, which may be a token that was put in the wrong place
			}
			seen[v.key+" "+v.value] = true
		}
		for _, l := range []struct {
			key  string
			list List
		}{{"users", t.Users}, {"sites", t.Sites}} {
			if l.list != nil && len(l.list) == 0 {
				add(path+"."+l.key, "must have a pattern: leave it out, or say \"*\", for all")
			}
		}
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"rateLimit.perSecond", f.API.RateLimit.PerSecond}, {"rateLimit.burst", f.API.RateLimit.Burst},
		{"rateLimit.failuresPerMinute", f.API.RateLimit.FailuresPerMinute},
		{"streams.max", f.API.Streams.Max}, {"streams.maxPerCaller", f.API.Streams.MaxPerCaller},
	} {
		if n.value < 0 {
			add("api."+n.key, "must not be negative")
		}
	}
	return ps
}
