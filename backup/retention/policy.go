package retention

import "fmt"

// DefaultKeepFailed is how long failed and canceled backups stay where
// Policy.KeepFailed is nil: 7 days.
const DefaultKeepFailed = 7 * day

const maxKeep = 100_000

// Policy is which backups of a group stay. The package's documentation tells what
// each rule means. A rule at its zero value is off; a policy must have at least one
// that isn't, KeepFailed aside.
type Policy struct {
	// KeepLast keeps the newest N good backups.
	KeepLast int `json:"keepLast,omitempty" yaml:"keepLast,omitempty"`

	// KeepWithin keeps good backups younger than this.
	KeepWithin Duration `json:"keepWithin,omitempty" yaml:"keepWithin,omitempty"`

	// These keep the newest good backup of each of the last N hours, days, ISO
	// weeks, months and years that have one.
	KeepHourly  int `json:"keepHourly,omitempty" yaml:"keepHourly,omitempty"`
	KeepDaily   int `json:"keepDaily,omitempty" yaml:"keepDaily,omitempty"`
	KeepWeekly  int `json:"keepWeekly,omitempty" yaml:"keepWeekly,omitempty"`
	KeepMonthly int `json:"keepMonthly,omitempty" yaml:"keepMonthly,omitempty"`
	KeepYearly  int `json:"keepYearly,omitempty" yaml:"keepYearly,omitempty"`

	// AtLeast keeps the newest N good copies of each provider in the group. The
	// newest one in the pair always stays, also at 0.
	AtLeast int `json:"atLeast,omitempty" yaml:"atLeast,omitempty"`

	// KeepFailed keeps failed and canceled backups that ended less than this ago,
	// and corrupt ones at least as long; 0 lets them go at the next run. Defaults
	// to DefaultKeepFailed.
	KeepFailed *Duration `json:"keepFailed,omitempty" yaml:"keepFailed,omitempty"`
}

// FieldError is a bad value in a policy: it names the field, as JSON spells it,
// or "policy" where it is about the whole, and the rule that was broken.
type FieldError struct {
	Field string // "keepLast"
	Rule  string // "must be between 0 and 100000"
}

func (e *FieldError) Error() string { return e.Field + " " + e.Rule }

// Validate returns a *FieldError for the first field that is out of its bounds,
// or for a policy that keeps nothing. Counts are 0 to 100000; durations are
// whole seconds from 0 to 36500 days.
func (p *Policy) Validate() error {
	some := p.KeepWithin > 0
	for _, f := range p.counts() {
		if f.n < 0 || f.n > maxKeep {
			return &FieldError{f.field, fmt.Sprintf("must be between 0 and %d", maxKeep)}
		}
		some = some || f.n > 0
	}
	if !p.KeepWithin.valid() {
		return &FieldError{"keepWithin", durationRule}
	}
	if p.KeepFailed != nil && !p.KeepFailed.valid() {
		return &FieldError{"keepFailed", durationRule}
	}
	if !some {
		return &FieldError{"policy", "must keep something: set keepLast, keepWithin, keepHourly, " +
			"keepDaily, keepWeekly, keepMonthly, keepYearly or atLeast"}
	}
	return nil
}

type count struct {
	field string
	n     int
}

func (p *Policy) counts() []count {
	return []count{
		{"keepLast", p.KeepLast},
		{"keepHourly", p.KeepHourly},
		{"keepDaily", p.KeepDaily},
		{"keepWeekly", p.KeepWeekly},
		{"keepMonthly", p.KeepMonthly},
		{"keepYearly", p.KeepYearly},
		{"atLeast", p.AtLeast},
	}
}

// keepFailed is how long backups that aren't good stay at least.
func (p *Policy) keepFailed() Duration {
	if p.KeepFailed == nil {
		return DefaultKeepFailed
	}
	return *p.KeepFailed
}
