package retention

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	day         = 24 * Duration(time.Hour)
	maxDuration = 36500 * day

	durationRule = "must be whole seconds between 0s and 36500d"
)

// Duration is a span of time that is written as text such as 30d, 720h or
// 1w2d12h: whole numbers with the units y (365 days), w (7 days), d (24 hours), h,
// min and s, the largest unit first, each at most once. 0 needs no unit.
//
// All units are fixed lengths, so that of two durations one is always
// the longer. There is no unit m: to restic it is a month, to Go a minute, and 6m read
// the other way would remove half a year of backups.
type Duration time.Duration

// The units, largest first. String uses those that aren't only read.
var units = []struct {
	name     string
	of       Duration
	readOnly bool
}{
	{"y", 365 * day, true},
	{"w", 7 * day, true},
	{"d", day, false},
	{"h", Duration(time.Hour), false},
	{"min", Duration(time.Minute), false},
	{"s", Duration(time.Second), false},
}

// ParseDuration reads a duration of at most 36500 days.
func ParseDuration(text string) (Duration, error) {
	if text == "0" {
		return 0, nil
	}
	var sum Duration
	rest, next := text, 0
	for first := true; first || rest != ""; first = false {
		number, after := cut(rest, isDigit)
		name, after := cut(after, func(c byte) bool { return !isDigit(c) })
		if name == "m" {
			return 0, fmt.Errorf("duration %q: m could be minutes or months: write min, or a number of days such as 90d", text)
		}
		for next < len(units) && units[next].name != name {
			next++
		}
		if number == "" || next == len(units) {
			return 0, fmt.Errorf("duration %q must be like 30d, 720h or 1w2d12h: whole numbers with the units y, w, d, h, min and s, in this order", text)
		}
		unit := units[next].of
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n > int64((maxDuration-sum)/unit) {
			return 0, fmt.Errorf("duration %q must be at most %s", text, maxDuration)
		}
		sum += Duration(n) * unit
		rest, next = after, next+1
	}
	return sum, nil
}

// cut returns the longest prefix of s that has only such bytes, and what follows.
func cut(s string, of func(byte) bool) (prefix, rest string) {
	i := 0
	for i < len(s) && of(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// String is d in days, hours, minutes and seconds, such as 30d or 1d12h, which
// ParseDuration reads; of a Duration that no text gives, it is what
// time.Duration makes of it.
func (d Duration) String() string {
	switch {
	case d == 0:
		return "0s"
	case !d.valid():
		return time.Duration(d).String()
	}
	var s strings.Builder
	for _, u := range units {
		if n := d / u.of; n > 0 && !u.readOnly {
			s.WriteString(strconv.FormatInt(int64(n), 10))
			s.WriteString(u.name)
			d %= u.of
		}
	}
	return s.String()
}

// MarshalText is String. It refuses a Duration that no text gives: a negative
// one, one with fractions of a second, or one longer than 36500 days.
func (d Duration) MarshalText() ([]byte, error) {
	if !d.valid() {
		return nil, fmt.Errorf("duration %s %s", d, durationRule)
	}
	return []byte(d.String()), nil
}

// UnmarshalText sets d to what ParseDuration makes of text.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

func (d Duration) valid() bool {
	return 0 <= d && d <= maxDuration && d%Duration(time.Second) == 0
}
