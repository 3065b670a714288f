package cron

import (
	"fmt"
	"time"
)

const (
	// minEvery is the shortest "@every": no finer than cron itself is.
	minEvery = time.Minute
	// maxEvery is the longest "@every": a leap year.
	maxEvery = 366 * day
)

func (s *Schedule) parseEvery(words []string) error {
	var every time.Duration
	if len(words) == 1 {
		every, _ = time.ParseDuration(words[0]) // zero, and so refused below, if it is none
	}
	if every < minEvery || every > maxEvery || every%time.Second != 0 {
		return fmt.Errorf(`%q must be "@every" and a duration such as "6h" or "1h30m", of whole seconds, from 1m to 8784h`, s.expr)
	}
	s.every = int64(every / time.Second)
	return nil
}

// nextEvery returns the first of anchor, anchor + every, anchor + 2*every ... that is after a time. It counts in seconds: a
// time.Duration ends at 292 years.
func (s *Schedule) nextEvery(after time.Time) time.Time {
	slot := s.anchor
	if since := after.Unix() - s.anchor; since >= 0 {
		slot += (since/s.every + 1) * s.every
	}
	return time.Unix(slot, 0).In(s.loc)
}
