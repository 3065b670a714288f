package retention

import (
	"slices"
	"strings"
	"time"
)

// Plan decides about all backups of one pair {user, site}. Each of them is in
// the result once, newest first: by At, and by ID where that is the same. Neither the
// order of backups nor anything but the arguments has a part in it.
//
// It must be given all of the pair's backups, also those of other schedules
// and those that nothing governs: with some left out, the newest good copy is the newest of
// those it was given. policies is by Backup.Group; a group that isn't there
// keeps everything. Plan changes none of its arguments; the result shares
// Providers with backups.
func Plan(backups []Backup, policies map[string]Group, now time.Time) []Decision {
	sorted := slices.Clone(backups)
	slices.SortFunc(sorted, newestFirst)

	p := &planner{now: now, rules: make(map[string]*rules, len(policies))}
	p.newest, p.last = newestGood(sorted, now)
	decisions := make([]Decision, len(sorted))
	for i := range sorted {
		b := &sorted[i]
		r := p.rules[b.Group]
		if r == nil {
			r = newRules(policies[b.Group])
			p.rules[b.Group] = r
		}
		decisions[i] = p.decide(i, b, r)
	}
	return decisions
}

func newestFirst(a, b Backup) int {
	if c := b.At.Compare(a.At); c != 0 {
		return c
	}
	return strings.Compare(b.ID, a.ID)
}

// newestGood is, for each provider, where in sorted its newest good copy is, and where the
// one that ended last: of a backup that failed and was retried later the data is newer
// than its At.
func newestGood(sorted []Backup, now time.Time) (newest, last map[string]int) {
	newest, last = make(map[string]int), make(map[string]int)
	for i := range sorted {
		if !sorted[i].counts(now) {
			continue
		}
		for _, provider := range sorted[i].Providers {
			if _, ok := newest[provider]; !ok {
				newest[provider], last[provider] = i, i
			}
			if sorted[i].ended().After(sorted[last[provider]].ended()) {
				last[provider] = i
			}
		}
	}
	return newest, last
}

// planner decides about backups one by one, newest first.
type planner struct {
	now    time.Time
	newest map[string]int    // a provider's newest good copy: its place
	last   map[string]int    // its good copy that ended last
	rules  map[string]*rules // by group; they count down
}

// decide decides about b, whose place is i.
func (p *planner) decide(i int, b *Backup, r *rules) Decision {
	var keep []string
	var remove string
	switch b.Status {
	case Deleting:
		return Decision{Backup: *b, Reasons: []string{ReasonDeleting}}
	case Good:
		keep, remove = p.keepGood(i, b, r), ReasonPolicy
	case Failed, Canceled:
		keep, remove = p.keepFailed(b, r), ReasonFailedAge
	case Corrupt:
		keep, remove = p.keepCorrupt(i, b, r), ReasonCorruptSuperseded
	case Open:
		keep = []string{ReasonOpen}
	default:
		keep = []string{ReasonUnknownStatus}
	}
	if b.Held {
		keep = slices.Insert(keep, 0, ReasonHeld)
	}
	if len(keep) == 0 {
		return Decision{Backup: *b, Reasons: []string{remove}}
	}
	return Decision{Backup: *b, Keep: true, Reasons: keep}
}

func (p *planner) keepGood(i int, b *Backup, r *rules) []string {
	if !b.counts(p.now) {
		return []string{ReasonFuture}
	}
	reasons := r.keep(b, p.now)
	for _, provider := range b.Providers {
		if p.newest[provider] == i || p.last[provider] == i {
			reasons = append(reasons, ReasonNewestGood+":"+provider)
		}
	}
	return reasons
}

func (p *planner) keepFailed(b *Backup, r *rules) []string {
	if r.policy == nil {
		return []string{r.why}
	}
	if p.now.Sub(b.ended()) < time.Duration(r.policy.keepFailed()) {
		return []string{ReasonFailedRecent}
	}
	return nil
}

func (p *planner) keepCorrupt(i int, b *Backup, r *rules) []string {
	if r.policy == nil {
		return []string{r.why}
	}
	var reasons []string
	if p.now.Sub(b.ended()) < time.Duration(r.policy.keepFailed()) {
		reasons = append(reasons, ReasonCorruptRecent)
	}
	for _, provider := range b.Providers {
		if newest, ok := p.newest[provider]; !ok || newest > i {
			reasons = append(reasons, ReasonNoNewerGood+":"+provider)
		}
	}
	return reasons
}
