package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// Providers makes the providers of a file.
func Providers(f *config.File) ([]backup.ProviderConfig, config.Problems) {
	var providers []backup.ProviderConfig
	var problems config.Problems
	for i := range f.Providers {
		p, found := provider(f, i)
		providers = append(providers, p)
		problems = append(problems, found...)
	}
	return providers, problems
}

func provider(f *config.File, i int) (backup.ProviderConfig, config.Problems) {
	p, path := &f.Providers[i], fmt.Sprintf("providers[%d]", i)
	made := providerConfig(p)
	forCheck, valid := made, backup.ProviderConfig{}
	forCheck.Name = "name" // the file's check looks at it
	problems := f.FieldProblems(path, &forCheck, &valid, func() error {
		_, err := backup.New(&backup.Config{Providers: []backup.ProviderConfig{forCheck}})
		return err
	})
	source := exportConfig(p)
	problems = append(problems, f.FieldProblems(path, source, &httpexport.Config{URL: "http://localhost/"}, func() error {
		reader, err := httpexport.New(source)
		made.Provider = reader
		return err
	})...)
	return made, problems
}

// providerNames are the providers of a process that works none: their names
// only, without the secrets to use them.
func providerNames(f *config.File) []backup.ProviderConfig {
	providers := make([]backup.ProviderConfig, len(f.Providers))
	for i := range f.Providers {
		providers[i] = providerConfig(&f.Providers[i])
	}
	return providers
}

func providerConfig(p *config.Provider) backup.ProviderConfig {
	open := p.OpenTimeout
	if header := time.Duration(p.HeaderTimeout); open == 0 && header > time.Minute {
		open = config.Duration(5*time.Minute + 2*header) // the export, and the export from its beginning
	}
	return backup.ProviderConfig{
		Name: p.Name, AllowEmpty: p.AllowEmpty, AllowUnproven: p.AllowUnproven, MinSize: int64(p.MinSize), MaxSize: int64(p.MaxSize),
		MaxAttempts: p.MaxAttempts, MaxWorkers: p.MaxWorkers, MaxRunning: p.MaxRunning,
		RetryFor: time.Duration(p.RetryFor), StallTimeout: time.Duration(p.StallTimeout), OpenTimeout: time.Duration(open),
	}
}

func exportConfig(p *config.Provider) *httpexport.Config {
	c := &httpexport.Config{
		URL: p.URL, ContentType: p.ContentType, AllowEncoded: p.AllowEncoded, NoResume: p.NoResume, NoHead: p.NoHead,
		AllowedRedirectHosts: p.AllowedRedirectHosts, Authorize: authorize(p.Auth), Header: http.Header{},
		ConnectTimeout: time.Duration(p.ConnectTimeout), TLSTimeout: time.Duration(p.TLSTimeout), HeaderTimeout: time.Duration(p.HeaderTimeout),
		SizeTimeout: time.Duration(p.SizeTimeout),
	}
	if p.Pages != nil {
		c.Pages = &httpexport.Pages{CursorHeader: p.Pages.CursorHeader, CursorParam: p.Pages.CursorParam, MaxPages: p.Pages.MaxPages}
	}
	for name, value := range p.Headers {
		c.Header.Set(name, value)
	}
	return c
}

// authorize adds a provider's credential to a request.
func authorize(a *config.Auth) func(context.Context, *http.Request, *backup.ExportRequest) error {
	if a == nil {
		return nil
	}
	return func(_ context.Context, r *http.Request, _ *backup.ExportRequest) error {
		switch {
		case a.Basic != nil:
			r.SetBasicAuth(a.Basic.User, a.Basic.Password.Value())
		case a.Header != nil:
			r.Header.Set(a.Header.Name, a.Header.Value.Value())
		default:
			r.Header.Set("Authorization", "Bearer "+a.Bearer.Value())
		}
		return nil
	}
}
