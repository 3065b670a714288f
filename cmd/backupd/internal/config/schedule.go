package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// Schedule is one that the server puts when it starts, in the words of the HTTP API.
type Schedule struct {
	UserID            string             `yaml:"userId"`
	SiteID            string             `yaml:"siteId"`
	Name              string             `yaml:"name,omitempty"`
	Cron              string             `yaml:"cron"`
	TimeZone          string             `yaml:"timeZone,omitempty"`
	Spread            retention.Duration `yaml:"spread,omitempty"`
	CatchUp           string             `yaml:"catchUp,omitempty"`
	Overlap           string             `yaml:"overlap,omitempty"`
	StartingDeadline  retention.Duration `yaml:"startingDeadline,omitempty"`
	Paused            bool               `yaml:"paused,omitempty"`
	Retention         *retention.Policy  `yaml:"retention,omitempty"`
	MaxAge            retention.Duration `yaml:"maxAge,omitempty"`
	Providers         List               `yaml:"providers,omitempty"`
	Labels            map[string]string  `yaml:"labels,omitempty"`
	ContinueOnFailure bool               `yaml:"continueOnFailure,omitempty"`
	SizeLimit         Size               `yaml:"sizeLimit,omitempty"`
}

// Schedules are those of a file; nil: it doesn't say any.
type Schedules []Schedule

// IsZero tells yaml to print a list that is empty.
func (s Schedules) IsZero() bool { return s == nil }

// Declared are the schedules of the file.
func (f *File) Declared() []backup.ScheduleParams {
	all := make([]backup.ScheduleParams, len(f.Schedules))
	for i := range f.Schedules {
		all[i] = f.Schedules[i].params()
	}
	return all
}

func (s *Schedule) params() backup.ScheduleParams {
	return backup.ScheduleParams{
		UserID: s.UserID, SiteID: s.SiteID, Name: s.Name, Cron: s.Cron, TimeZone: s.TimeZone, Spread: time.Duration(s.Spread),
		CatchUp: backup.CatchUp(s.CatchUp), Overlap: backup.Overlap(s.Overlap), StartingDeadline: time.Duration(s.StartingDeadline), Paused: s.Paused,
		Retention: s.Retention, MaxAge: time.Duration(s.MaxAge), Providers: s.Providers, Labels: s.Labels,
		ContinueOnFailure: s.ContinueOnFailure, MaxSize: int64(s.SizeLimit), Declared: true,
	}
}

func (f *File) checkRetention(add adder) {
	if f.Retention == nil || f.bad["retention"] {
		return
	}
	var field *retention.FieldError
	if err := f.Retention.Validate(); errors.As(err, &field) {
		path := "retention." + field.Field
		if field.Field == "policy" { // the whole
			path = "retention"
		}
		f.unlessBad(add)(path, "%s", field.Rule)
	}
}

// unlessBad leaves out what is about a value that couldn't be read, or about one around
// such a value: that was said.
func (f *File) unlessBad(add adder) adder {
	return func(path, format string, args ...any) {
		for bad := range f.bad {
			if bad == path || strings.HasPrefix(bad, path+".") {
				return
			}
		}
		add(path, format, args...)
	}
}

func (f *File) checkSchedules(add adder) {
	if len(f.Schedules) == 0 {
		return
	}
	client, err := backup.New(&backup.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		add("schedules", "%s", err)
		return
	}
	var providers []string
	for i := range f.Providers {
		providers = append(providers, f.Providers[i].Name)
	}
	seen := make(map[[3]string]bool)
	for i := range f.Schedules {
		s, path := &f.Schedules[i], fmt.Sprintf("schedules[%d]", i)
		if f.bad[path] { // it was no mapping
			continue
		}
		for j, name := range s.Providers {
			if !slices.Contains(providers, name) {
				add(fmt.Sprintf("%s.providers[%d]", path, j), "must name one of the file's providers, not %q", name)
			}
		}
		p := s.params()
		p.Providers = nil
		var field *backup.FieldError
		if err := client.ValidateSchedule(p); errors.As(err, &field) {
			f.unlessBad(add)(path+"."+field.Field, "%s", field.Rule)
		} else if err != nil {
			add(path, "%s", err)
		}
		if p.Name == "" {
			p.Name = backup.DefaultScheduleName
		}
		key := [3]string{p.UserID, p.SiteID, p.Name}
		if seen[key] {
			add(path+".name", "is there twice for this user's site: %q", p.Name)
		}
		seen[key] = true
	}
}
