// Package cron says when a schedule is due, in civil time.
//
// An expression has five fields (minute, hour, day of month, month, day of week), or is one of the macros @hourly, @daily,
// @midnight, @weekly, @monthly, @yearly and @annually, or "@every" and a duration. The expression is matched against what a clock
// on the wall of its time zone shows. Where daylight saving moves that clock, this holds for every expression alike:
//
//   - a local time that is skipped runs right after the gap, at the instant of the change;
//   - a local time that comes twice runs once, the first time.
//
// So "*/10 * * * *" makes no runs in an hour that is repeated, and one for all those that a gap skips. Who wants every real hour or
// every real ten minutes takes "@every", which counts elapsed time, or the zone UTC.
//
// A day must match both the day of the month and the day of the week, unless both are restricted: then either is enough, as crontab
// has always done. Only "*" (and "*/1") is no restriction; "*/2" and "1-31" are.
package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"

	gocron "github.com/netresearch/go-cron"
)

const (
	// maxLength bounds an expression, in bytes.
	maxLength = 256
	// searchYears is how far ahead a day is looked for. The rarest day there is, 29 February, is at most eight years away
	// (from 1896 to 1904, from 2096 to 2104), so what isn't found in this time never comes.
	searchYears = 9
	// maxSteps bounds the candidates that one Next looks at. One or two are enough around any change of the clock on record.
	maxSteps = 64
)

var (
	parser = gocron.MustNewParser(gocron.Minute | gocron.Hour | gocron.Dom | gocron.Month | gocron.Dow | gocron.DowOrDom).
		WithMaxSearchYears(searchYears)

	macros = map[string]string{
		"@hourly":   "0 * * * *",
		"@daily":    "0 0 * * *",
		"@midnight": "0 0 * * *",
		"@weekly":   "0 0 * * 0",
		"@monthly":  "0 0 1 * *",
		"@yearly":   "0 0 1 1 *",
		"@annually": "0 0 1 1 *",
	}
)

// Schedule is a parsed expression in its time zone. It never changes and may be used by many goroutines at once.
type Schedule struct {
	expr string
	loc  *time.Location

	wall gocron.Schedule // matches wall-clock times, which it is given as if they were UTC; nil for @every

	anchor, every int64 // seconds; of @every
}

// Parse reads an expression that is due in the zone loc (nil is UTC). Slots of "@every" are counted from anchor, which is cut to
// whole seconds and which nothing else uses. The error is a sentence for whoever wrote the expression; it doesn't name the field the
// expression came in. Not accepted are a seconds field, @reboot, a TZ= prefix, "?", "L", "W" and "#", and a date that never comes.
func Parse(expr string, loc *time.Location, anchor time.Time) (*Schedule, error) {
	if loc == nil {
		loc = time.UTC
	}
	if len(expr) > maxLength {
		return nil, fmt.Errorf("must be at most %d characters long", maxLength)
	}
	words := strings.Fields(expr)
	if len(words) == 0 {
		return nil, errors.New(`must be a cron expression such as "0 2 * * *"`)
	}
	s := &Schedule{expr: strings.Join(words, " "), loc: loc, anchor: anchor.Unix()}
	if strings.HasPrefix(words[0], "@") {
		return s.orError(s.parseMacro(words))
	}
	if strings.Contains(strings.ToUpper(words[0]), "TZ=") {
		return nil, errors.New("must not set a time zone: it has a field of its own")
	}
	return s.orError(s.parseFields(words))
}

// orError returns s, or err alone.
func (s *Schedule) orError(err error) (*Schedule, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Schedule) parseMacro(words []string) error {
	name := strings.ToLower(words[0])
	if name == "@every" {
		return s.parseEvery(words[1:])
	}
	fields, ok := macros[name]
	if !ok || len(words) > 1 {
		return fmt.Errorf("%q must be @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @every and a duration", s.expr)
	}
	return s.parseFields(strings.Fields(fields))
}

func (s *Schedule) parseFields(words []string) error {
	if len(words) != len(fields) {
		return fmt.Errorf("must have %d fields (minute, hour, day of month, month, day of week), not %d", len(fields), len(words))
	}
	normal := make([]string, len(words))
	for i, f := range fields {
		text, err := f.normalise(words[i])
		if err != nil {
			return err
		}
		normal[i] = text
	}
	wall, err := parser.Parse(strings.Join(normal, " "))
	if err != nil {
		return fmt.Errorf("%q is not a cron expression", s.expr)
	}
	if wall.Next(time.Unix(0, 0).UTC()).IsZero() {
		return fmt.Errorf("%q is never due: no such day of the month comes in those months", s.expr)
	}
	spec, ok := wall.(*gocron.SpecSchedule)
	if !ok {
		return fmt.Errorf("%q is not a cron expression", s.expr)
	}
	spec.Location = time.UTC // wall-clock times are handed over as UTC, where no hour is missing or double
	s.wall = spec
	return nil
}

// Next returns the first slot strictly after a time, in the schedule's zone; it is on a whole second, and on a whole minute of the wall
// clock unless a gap moved it or it is of @every. It returns the zero time if none comes, which of an accepted schedule is not the case.
func (s *Schedule) Next(after time.Time) time.Time {
	if s.wall == nil {
		return s.nextEvery(after)
	}
	after = after.In(s.loc)
	wall := resume(after)
	for range maxSteps {
		wall = s.wall.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		if slot := instant(wall, s.loc); slot.After(after) {
			return slot
		}
	}
	return time.Time{}
}

// String returns the expression as it was written, with single spaces.
func (s *Schedule) String() string { return s.expr }
