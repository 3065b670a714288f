package retention

import "time"

// rules are a group's policy while its good backups are gone through, newest
// first.
type rules struct {
	policy   *Policy // nil: all stay, because of why
	why      string
	location *time.Location
	last     int            // places left
	copies   map[string]int // by provider: how many newer ones there are
	periods  []*period
}

func newRules(g Group) *rules {
	switch {
	case g.Policy == nil:
		return &rules{why: ReasonNoPolicy}
	case g.Policy.Validate() != nil:
		return &rules{why: ReasonInvalidPolicy}
	}
	location := g.Location
	if location == nil {
		location = time.UTC
	}
	return &rules{
		policy:   g.Policy,
		location: location,
		last:     g.Policy.KeepLast,
		copies:   make(map[string]int),
		periods:  newPeriods(g.Policy),
	}
}

// keep returns why the rules keep b, the next older one of the group that counts,
// and counts it.
func (r *rules) keep(b *Backup, now time.Time) []string {
	if r.policy == nil {
		return []string{r.why}
	}
	var reasons []string
	if r.last > 0 {
		r.last--
		reasons = append(reasons, ReasonLast)
	}
	if now.Sub(b.At) < time.Duration(r.policy.KeepWithin) {
		reasons = append(reasons, ReasonWithin)
	}
	local := b.At.In(r.location)
	for _, p := range r.periods {
		if p.take(local) {
			reasons = append(reasons, p.reason+" "+p.label(local))
		}
	}
	for _, provider := range b.Providers {
		if r.copies[provider] < r.policy.AtLeast {
			r.copies[provider]++
			reasons = append(reasons, ReasonAtLeast+":"+provider)
		}
	}
	return reasons
}
