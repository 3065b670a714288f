package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// field is one of the five: what it is called in errors, its bounds, and its names, from the lowest value on.
type field struct {
	name     string
	min, max int
	names    []string
}

var fields = [5]field{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of week", max: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// last is the value that "*" and "n/step" end at: Sunday is 0 and 7 and must not count twice.
func (f field) last() int {
	if f.name == "day of week" {
		return 6
	}
	return f.max
}

// normalise checks a field's text and returns it as "*" or as a list of numbers, so that what an expression means is written here and
// doesn't change with the library that matches it.
func (f field) normalise(text string) (string, error) {
	values := make(map[int]bool)
	for _, part := range strings.Split(text, ",") {
		low, high, step, err := f.part(part)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(part, "*") && step == 1 {
			return f.star(text)
		}
		for v := low; v <= high; v += step {
			if f.name == "day of week" {
				values[v%7] = true
			} else {
				values[v] = true
			}
		}
	}
	list := make([]string, 0, len(values))
	for v := f.min; v <= f.max; v++ {
		if values[v] {
			list = append(list, strconv.Itoa(v))
		}
	}
	return strings.Join(list, ","), nil
}

// star is for a list with an unrestricted "*" in it, whose other parts must be right all the same.
func (f field) star(text string) (string, error) {
	for _, part := range strings.Split(text, ",") {
		if _, _, _, err := f.part(part); err != nil {
			return "", err
		}
	}
	return "*", nil
}

// part reads one part of a list: "*", "n" or "n-m", each with or without "/step".
func (f field) part(text string) (low, high, step int, err error) {
	span, every, stepped := strings.Cut(text, "/")
	from, to, ranged := strings.Cut(span, "-")
	if span == "*" {
		low, high = f.min, f.last()
	} else {
		if low, err = f.value(from, text); err != nil {
			return 0, 0, 0, err
		}
		high = low
		if ranged {
			if high, err = f.value(to, text); err != nil {
				return 0, 0, 0, err
			}
		} else if stepped {
			high = f.last()
		}
	}
	if low > high {
		return 0, 0, 0, fmt.Errorf("%s: %q ends before it begins", f.name, text)
	}
	step = 1
	if stepped {
		if step, err = number(every); err != nil || step < 1 || step > f.max {
			return 0, 0, 0, fmt.Errorf("%s: the step in %q must be a number from 1 to %d", f.name, text, f.max)
		}
	}
	return low, high, step, nil
}

// value reads a number or a name; part is what it stands in, for the error.
func (f field) value(text, part string) (int, error) {
	if i := slices.Index(f.names, strings.ToLower(text)); i >= 0 {
		return f.min + i, nil
	}
	n, err := number(text)
	if err == nil && n >= f.min && n <= f.max {
		return n, nil
	}
	if len(f.names) > 0 {
		return 0, fmt.Errorf("%s: %q must be made of *, numbers from %d to %d and names such as %s", f.name, part, f.min, f.max,
			strings.ToUpper(f.names[1]))
	}
	return 0, fmt.Errorf("%s: %q must be made of * and numbers from %d to %d", f.name, part, f.min, f.max)
}

// number reads one or two digits: no sign, no blank, nothing else that a number may have in Go.
func number(text string) (int, error) {
	if len(text) > 2 {
		return 0, strconv.ErrRange
	}
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err
}
