package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones are the same on a machine or image that has none
)

// day is more than any zone has ever been away from UTC.
const day = 24 * time.Hour

// LoadZone returns the zone of an IANA name such as "Europe/Berlin"; "" is UTC. What depends on the machine ("Local") is refused.
// The error is a sentence for whoever wrote the name; it doesn't name the field.
func LoadZone(name string) (*time.Location, error) {
	switch {
	case name == "":
		return time.UTC, nil
	case strings.EqualFold(name, "local"), name == "localtime":
		return nil, errors.New(`must be an IANA time zone such as "Europe/Berlin" or "UTC", not the server's own`)
	case strings.HasPrefix(name, "right/"), strings.HasPrefix(name, "posix/"), name == "posixrules", len(name) > 64:
		return nil, fmt.Errorf(`%.64q must be an IANA time zone such as "Europe/Berlin" or "UTC"`, name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf(`%q is not a known time zone: it must be an IANA name such as "Europe/Berlin" or "UTC"`, name)
	}
	return loc, nil
}

// wallOf returns what the clock shows at t, as a time in UTC.
func wallOf(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// instant returns when a clock in loc first shows wall (a time in UTC), or, if it skips that, when it skips it. It never decreases as
// wall grows. It walks the zone's periods of one offset in order, from before any that could matter.
func instant(wall time.Time, loc *time.Location) time.Time {
	begin := wall.Add(-day).In(loc)
	for {
		_, offset := begin.Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if t.Before(begin) {
			return begin // the clock went from before wall to after it
		}
		end := endOf(begin)
		if end.IsZero() || t.Before(end) {
			return t
		}
		begin = end
	}
}

// endOf returns when the offset at t may end, or zero. It is after t: for times that follow a zone's rule and not its table, Go's
// ZoneBounds takes every year for one of 365 days, so that on 31 December of a leap year the end it gives lies before.
func endOf(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		end = end.Add(day)
	}
	return end
}

// resume returns the wall-clock time to search on from: what the clock shows at after, or, if it shows that for the second time, the
// last moment that is shown twice. Without it a schedule of every minute would be asked for each minute of a repeated hour in vain.
func resume(after time.Time) time.Time {
	wall := wallOf(after)
	begin, _ := after.ZoneBounds()
	if begin.IsZero() {
		return wall
	}
	if repeated := wallOf(begin.Add(-1)); repeated.After(wall) {
		return repeated
	}
	return wall
}
