package retention_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sitebackup/sitebackup/backup/retention"
)

type history struct {
	backups []retention.Backup
	groups  map[string]retention.Group
	now     time.Time
}

// oracle says from the rules' definitions, one backup at a time and without
// counting down, whether b stays.
func (h *history) oracle(b retention.Backup) bool {
	g, ended := h.groups[b.Group], ended(b)
	switch {
	case b.Status == retention.Deleting:
		return false
	case b.Held, b.Status == retention.Open, b.Status == "", g.Policy == nil, g.Policy.Validate() != nil:
		return true
	case b.Status != retention.Good:
		days := 7 * 24 * time.Hour
		if g.Policy.KeepFailed != nil {
			days = time.Duration(*g.Policy.KeepFailed)
		}
		return ended.Add(days).After(h.now) || b.Status == retention.Corrupt && !h.superseded(b)
	case b.At.After(h.now):
		return true
	}
	for _, p := range b.Providers {
		if h.copies(b, p, false) == 0 || h.endedLast(b, p) || h.copies(b, p, true) < g.Policy.AtLeast {
			return true
		}
	}
	return h.kept(b, g)
}

func (h *history) good(o retention.Backup) bool {
	return o.Status == retention.Good && !o.At.After(h.now)
}

func ended(b retention.Backup) time.Time {
	if b.EndedAt.IsZero() {
		return b.At
	}
	return b.EndedAt
}

// endedLast reports whether no good copy of a provider ended later than b.
func (h *history) endedLast(b retention.Backup, provider string) bool {
	return !slices.ContainsFunc(h.backups, func(o retention.Backup) bool {
		c := ended(o).Compare(ended(b))
		return h.good(o) && slices.Contains(o.Providers, provider) && (c > 0 || c == 0 && newer(o, b))
	})
}

// copies is how many good copies of a provider are newer than b.
func (h *history) copies(b retention.Backup, provider string, sameGroup bool) (n int) {
	for _, o := range h.backups {
		if h.good(o) && newer(o, b) && slices.Contains(o.Providers, provider) && (!sameGroup || o.Group == b.Group) {
			n++
		}
	}
	return n
}

func (h *history) superseded(b retention.Backup) bool {
	return !slices.ContainsFunc(b.Providers, func(p string) bool { return h.copies(b, p, false) == 0 })
}

func (h *history) kept(b retention.Backup, g retention.Group) bool {
	loc := g.Location
	if loc == nil {
		loc = time.UTC
	}
	if b.At.Add(time.Duration(g.Policy.KeepWithin)).After(h.now) && g.Policy.KeepWithin > 0 {
		return true
	}
	var newerAt []time.Time
	for _, o := range h.backups {
		if o.Group == b.Group && h.good(o) && newer(o, b) {
			newerAt = append(newerAt, o.At.In(loc))
		}
	}
	if len(newerAt) < g.Policy.KeepLast {
		return true
	}
	week := func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, " ", w) }
	return newestOfLast(g.Policy.KeepHourly, b.At.In(loc), newerAt, format("2006-01-02 15 -07:00")) ||
		newestOfLast(g.Policy.KeepDaily, b.At.In(loc), newerAt, format(time.DateOnly)) ||
		newestOfLast(g.Policy.KeepWeekly, b.At.In(loc), newerAt, week) ||
		newestOfLast(g.Policy.KeepMonthly, b.At.In(loc), newerAt, format("2006-01")) ||
		newestOfLast(g.Policy.KeepYearly, b.At.In(loc), newerAt, format("2006"))
}

func format(layout string) func(time.Time) string {
	return func(t time.Time) string { return t.Format(layout) }
}

// newestOfLast reports whether at is the newest of its period, and fewer than n
// periods have something newer.
func newestOfLast(n int, at time.Time, newerAt []time.Time, name func(time.Time) string) bool {
	if n == 0 {
		return false
	}
	names := make(map[string]bool)
	for _, t := range newerAt {
		names[name(t)] = true
	}
	return !names[name(at)] && len(names) < n
}

// randomHistory has up to 30 backups in two groups with a policy, each often
// without some rules, and one group without. The times are near one another or
// far apart, often the same, and often where clocks change.
func randomHistory(r *rand.Rand) *history {
	starts := []time.Time{
		time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC), time.Date(2010, 11, 7, 2, 40, 0, 0, time.UTC),
		time.Date(2027, 1, 3, 12, 0, 0, 0, time.UTC), time.Date(2026, 4, 4, 15, 20, 0, 0, time.UTC),
	}
	steps := []time.Duration{10 * time.Minute, time.Hour, 7 * time.Hour, 26 * time.Hour, 12 * 24 * time.Hour, 100 * 24 * time.Hour}
	h := &history{groups: make(map[string]retention.Group)}
	at, step := starts[r.IntN(len(starts))], steps[r.IntN(len(steps))]
	h.now = at.Add(step * time.Duration(r.IntN(8)-2))
	for _, name := range []string{"g0", "g1"} {
		loc, _ := time.LoadLocation(zones[r.IntN(len(zones))])
		h.groups[name] = retention.Group{Policy: randomPolicy(r, step), Location: loc}
	}
	good := r.IntN(10)
	for i := range r.IntN(30) {
		b := retention.Backup{ID: fmt.Sprintf("%02d", (i*7+3)%31), At: at, Status: retention.Good, Held: r.IntN(12) == 0}
		b.Group = []string{"g0", "g0", "g0", "g1", "g1", "none"}[r.IntN(6)]
		if r.IntN(10) > good {
			all := []retention.Status{retention.Corrupt, retention.Failed, retention.Canceled, retention.Open, retention.Deleting, ""}
			b.Status = all[r.IntN(len(all))]
		}
		for _, p := range []string{"site", "db", "mail"} {
			if r.IntN(3) > 0 {
				b.Providers = append(b.Providers, p)
			}
		}
		if r.IntN(2) == 0 {
			b.EndedAt = at.Add(time.Duration(r.Int64N(int64(step))))
		}
		h.backups = append(h.backups, b)
		at = at.Add(-time.Duration(r.Int64N(3)) * step / 2)
	}
	return h
}

func randomPolicy(r *rand.Rand, step time.Duration) *retention.Policy {
	var p retention.Policy
	for _, n := range []*int{&p.KeepLast, &p.KeepHourly, &p.KeepDaily, &p.KeepWeekly, &p.KeepMonthly, &p.KeepYearly, &p.AtLeast} {
		if r.IntN(4) == 0 {
			*n = 1 + r.IntN(5)
		}
	}
	if r.IntN(4) == 0 {
		p.KeepWithin = retention.Duration((step * time.Duration(r.IntN(5))).Truncate(time.Second))
	}
	if r.IntN(2) == 0 {
		d := retention.Duration((step * time.Duration(r.IntN(5))).Truncate(time.Second))
		p.KeepFailed = &d
	}
	return &p
}
