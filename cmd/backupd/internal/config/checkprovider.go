package config

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
)

func (f *File) checkProviders(add adder) {
	if len(f.Providers) == 0 && !f.bad["providers"] {
		add("providers", "must have at least one")
	}
	names := make(map[string]bool)
	for i := range f.Providers {
		p, path := &f.Providers[i], fmt.Sprintf("providers[%d]", i)
		for _, field := range []struct{ key, value string }{{"name", p.Name}, {"url", p.URL}} {
			if field.value == "" && !f.bad[path+"."+field.key] {
				add(path+"."+field.key, "is required")
			}
		}
		if err := backup.ValidateProviderName(p.Name); p.Name != "" && err != nil {
			add(path+".name", "%s", strings.TrimPrefix(err.Error(), "provider name "))
		}
		if p.Name != "" && names[p.Name] {
			add(path+".name", "is there twice: %q", p.Name)
		}
		names[p.Name] = true
		if p.Type != "http" {
			add(path+".type", "must be http, not %q", p.Type)
		}
		for name := range p.Headers {
			if slices.Contains(secretHeaders, http.CanonicalHeaderKey(name)) {
				add(path+".headers."+name, "must be in auth, where a reference to the environment is asked for")
			}
		}
		if p.Auth != nil {
			f.checkAuth(p.Auth, path+".auth", add)
		}
	}
}

// secretHeaders are headers whose values are secrets by their nature.
var secretHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key"}

func (f *File) checkAuth(a *Auth, path string, add adder) {
	count := 0
	for _, given := range []bool{!a.Bearer.IsZero() || f.bad[path+".bearer"], a.Basic != nil, a.Header != nil} {
		if given {
			count++
		}
	}
	if count != 1 {
		add(path, "must have exactly one of bearer, basic and header")
	}
	secret := func(key string, s Secret) {
		switch {
		case s.IsZero() && !f.bad[path+"."+key]:
			add(path+"."+key, "is required")
		case s.literal():
			add(path+"."+key, "%s", errLiteral)
		}
	}
	if !a.Bearer.IsZero() {
		secret("bearer", a.Bearer)
	}
	if a.Basic != nil {
		if a.Basic.User == "" && !f.bad[path+".basic.user"] {
			add(path+".basic.user", "is required")
		}
		secret("basic.password", a.Basic.Password)
	}
	if a.Header != nil {
		if a.Header.Name == "" && !f.bad[path+".header.name"] {
			add(path+".header.name", "is required")
		}
		secret("header.value", a.Header.Value)
	}
}
