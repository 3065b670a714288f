package retention

import (
	"fmt"
	"time"
)

// period is a calendar rule while a group's good backups are gone through,
// newest first.
type period struct {
	reason string
	left   int // hours, days… that may still be kept
	key    func(local time.Time) periodKey
	label  func(local time.Time) string
	taken  map[periodKey]bool
}

// periodKey is one hour, day, week, month or year of a zone: its number, and for
// an hour the seconds east of UTC, which tell a repeated one from the first.
type periodKey struct{ number, offset int }

func newPeriods(p *Policy) []*period {
	all := []*period{
		{reason: ReasonHourly, left: p.KeepHourly, key: hourKey, label: layout("2006-01-02T15Z07:00")},
		{reason: ReasonDaily, left: p.KeepDaily, key: dayKey, label: layout("2006-01-02")},
		{reason: ReasonWeekly, left: p.KeepWeekly, key: weekKey, label: weekLabel},
		{reason: ReasonMonthly, left: p.KeepMonthly, key: monthKey, label: layout("2006-01")},
		{reason: ReasonYearly, left: p.KeepYearly, key: yearKey, label: layout("2006")},
	}
	on := all[:0]
	for _, period := range all {
		if period.left > 0 {
			period.taken = make(map[periodKey]bool)
			on = append(on, period)
		}
	}
	return on
}

// take reports whether a backup of that time is its period's newest, and the
// period one of those to keep. It remembers all periods it has taken, not just
// the last one: where clocks go back over midnight, as in St. John's until 2011, a
// day ends, the day before it goes on, and then it begins again.
func (p *period) take(local time.Time) bool {
	if p.left == 0 {
		return false
	}
	key := p.key(local)
	if p.taken[key] {
		return false
	}
	p.taken[key] = true
	p.left--
	return true
}

func hourKey(t time.Time) periodKey {
	_, offset := t.Zone()
	return periodKey{dayKey(t).number*24 + t.Hour(), offset}
}

func dayKey(t time.Time) periodKey {
	year, month, day := t.Date()
	return periodKey{number: (year*13+int(month))*32 + day}
}

func weekKey(t time.Time) periodKey {
	year, week := t.ISOWeek()
	return periodKey{number: year*54 + week}
}

func monthKey(t time.Time) periodKey {
	return periodKey{number: t.Year()*13 + int(t.Month())}
}

func yearKey(t time.Time) periodKey { return periodKey{number: t.Year()} }

func layout(l string) func(time.Time) string {
	return func(t time.Time) string { return t.Format(l) }
}

func weekLabel(t time.Time) string {
	year, week := t.ISOWeek()
	return fmt.Sprintf("%04d-W%02d", year, week)
}
