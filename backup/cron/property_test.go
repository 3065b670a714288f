package cron_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/cron"
)

// oracle finds the slots in [from, to) by another way than the package: it looks at every minute of wall time (as UTC) and asks whether
// it matches, then where the clock shows it by watching a clock go through all seconds of interest, which is a table made beforehand.
type oracle struct {
	first map[int64]int64 // wall minute -> the first minute of real time that shows it
	gap   map[int64]int64 // skipped wall minute -> the minute of the change
}

func newOracle(loc *time.Location, from, to time.Time) oracle {
	o := oracle{map[int64]int64{}, map[int64]int64{}}
	last := int64(0)
	for m := from.Unix() / 60; m < to.Unix()/60; m++ {
		t := time.Unix(m*60, 0).In(loc)
		wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC).Unix() / 60
		if _, seen := o.first[wall]; !seen {
			o.first[wall] = m
		}
		for w := last + 1; last != 0 && w < wall; w++ {
			if _, seen := o.first[w]; !seen {
				o.gap[w] = m
			}
		}
		last = wall
	}
	return o
}

func (o oracle) slots(matches func(time.Time) bool) []int64 {
	slots := []int64{}
	for _, table := range []map[int64]int64{o.first, o.gap} {
		for wall, m := range table {
			if matches(time.Unix(wall*60, 0).UTC()) {
				slots = append(slots, m)
			}
		}
	}
	slices.Sort(slots)
	return slices.Compact(slots)
}

// pick writes a random field, and returns which values it has and whether it is restricted.
func pick(r *rand.Rand, low, high int) (string, map[int]bool, bool) {
	values := map[int]bool{}
	if r.IntN(3) == 0 {
		for v := low; v <= high; v++ {
			values[v] = true
		}
		return "*", values, false
	}
	var parts []string
	for range 1 + r.IntN(2) {
		a, b := low+r.IntN(high-low+1), low+r.IntN(high-low+1)
		step := 1 + r.IntN(5)
		a, b = min(a, b), max(a, b)
		for v := a; v <= b; v += step {
			values[v] = true
		}
		parts = append(parts, fmt.Sprintf("%d-%d/%d", a, b, step))
	}
	return strings.Join(parts, ","), values, true
}

// random returns a random expression and what it should match.
func random(r *rand.Rand) (string, func(time.Time) bool) {
	minute, minutes, _ := pick(r, 0, 59)
	hour, hours, _ := pick(r, 0, 23)
	dom, doms, domSet := pick(r, 1, 31)
	dow, dows, dowSet := pick(r, 0, 7)
	if r.IntN(2) == 0 { // often enough a single time of day, as schedules mostly are
		m, h := r.IntN(60), r.IntN(4)
		minute, minutes = strconv.Itoa(m), map[int]bool{m: true}
		hour, hours = strconv.Itoa(h), map[int]bool{h: true}
	}
	return strings.Join([]string{minute, hour, dom, "*", dow}, " "), func(t time.Time) bool {
		byDom, byDow := doms[t.Day()], dows[int(t.Weekday())] || t.Weekday() == time.Sunday && dows[7]
		ok := byDom && byDow
		if domSet && dowSet {
			ok = byDom || byDow
		}
		return ok && minutes[t.Minute()] && hours[t.Hour()]
	}
}

// changes are weeks in which the clock does something, and one in which it does nothing.
var changes = []struct{ zone, day string }{
	{"Europe/Berlin", "2026-03-29"}, {"Europe/Berlin", "2026-10-25"}, {"Europe/Berlin", "2044-10-30"},
	{"America/New_York", "2026-03-08"}, {"America/New_York", "2026-11-01"}, {"America/St_Johns", "2006-10-29"},
	{"Australia/Lord_Howe", "2026-04-05"}, {"Australia/Lord_Howe", "2026-10-04"}, {"Antarctica/Troll", "2026-03-29"},
	{"Africa/Cairo", "2026-04-24"}, {"Africa/Cairo", "2026-10-30"}, {"America/Havana", "2026-03-08"}, {"America/Havana", "2026-11-01"},
	{"Asia/Beirut", "2026-03-29"}, {"Africa/Casablanca", "2026-02-15"}, {"Europe/Dublin", "2026-10-25"},
	{"Pacific/Apia", "2011-12-30"}, {"Pacific/Kwajalein", "1969-10-01"}, {"Asia/Kathmandu", "1986-01-01"},
	{"Asia/Tokyo", "2026-06-01"}, {"Europe/Berlin", "2048-12-31"}, {"America/New_York", "2048-12-31"}, {"Australia/Lord_Howe", "2048-12-31"},
}

func TestNext_oracle(t *testing.T) {
	t.Parallel()
	for i, c := range changes {
		t.Run(c.zone+" "+c.day, func(t *testing.T) {
			t.Parallel()
			loc, err := cron.LoadZone(c.zone)
			require.NoError(t, err)
			mid, err := time.Parse(time.DateOnly, c.day)
			require.NoError(t, err)
			from, to := mid.AddDate(0, 0, -3), mid.AddDate(0, 0, 4)
			o := newOracle(loc, from.AddDate(0, 0, -2), to.AddDate(0, 0, 2))
			r := rand.New(rand.NewPCG(5, uint64(i)))
			for range 60 {
				expr, matches := random(r)
				want := o.slots(matches)
				want = slices.DeleteFunc(want, func(m int64) bool { return m*60 <= from.Unix() || m*60 >= to.Unix() })
				s, err := cron.Parse(expr, loc, time.Time{})
				if err != nil {
					require.ErrorContains(t, err, "never due")
					continue
				}
				got := []int64{}
				for at := s.Next(from); !at.IsZero() && at.Before(to); at = s.Next(at) {
					require.Zero(t, at.Unix()%60)
					got = append(got, at.Unix()/60)
				}
				require.Equal(t, want, got, "%s in %s", expr, c.zone)
				for range 20 { // from any time between, sub-second ones too, the next is the same as in the list
					at := from.Add(time.Duration(r.Int64N(int64(to.Sub(from)))))
					j, _ := slices.BinarySearchFunc(want, at, func(m int64, at time.Time) int {
						if time.Unix(m*60, 0).After(at) {
							return 1
						}
						return -1
					})
					if j < len(want) {
						require.Equal(t, want[j]*60, s.Next(at).Unix(), "%s in %s after %s", expr, c.zone, at)
					}
				}
			}
		})
	}
}

// TestNext_oracleYears goes through years with the same oracle, for the expressions that meet every change.
func TestNext_oracleYears(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			loc, err := cron.LoadZone(zone)
			require.NoError(t, err)
			// A leap year that follows the zone's rule, which begins after 2037; in full, the end of the table too.
			from, to := time.Date(2048, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2049, 1, 3, 0, 0, 0, 0, time.UTC)
			if os.Getenv("BACKUP_TEST_SOAK") == "1" {
				from = time.Date(2034, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			o := newOracle(loc, from.AddDate(0, 0, -2), to.AddDate(0, 0, 2))
			for expr, matches := range map[string]func(time.Time) bool{
				"*/10 * * * *": func(t time.Time) bool { return t.Minute()%10 == 0 },
				"30 2 * * *":   func(t time.Time) bool { return t.Hour() == 2 && t.Minute() == 30 },
				"0 0 * * *":    func(t time.Time) bool { return t.Hour() == 0 && t.Minute() == 0 },
			} {
				s, err := cron.Parse(expr, loc, time.Time{})
				require.NoError(t, err)
				at := from
				for _, m := range o.slots(matches) {
					if m*60 > from.Unix() && m*60 < to.Unix() {
						if at = s.Next(at); at.Unix() != m*60 { // require.Equal alone takes longer than all the rest
							require.Equal(t, time.Unix(m*60, 0).UTC(), at.UTC(), "%s in %s", expr, zone)
						}
					}
				}
			}
		})
	}
}

func TestOffset_even(t *testing.T) {
	t.Parallel()
	const schedules, window = 100_000, 100
	var count [window]int
	for i := range schedules {
		count[cron.Offset("schedule-"+strconv.Itoa(i), window*time.Second)/time.Second]++
	}
	chi := 0.0
	for _, n := range count {
		d := float64(n) - schedules/window
		chi += d * d / (schedules / window)
	}
	require.Less(t, chi, 149.0, "chi square of 99 degrees of freedom: over this once in a thousand") // 148.2 is p=0.001
}

func FuzzParse(f *testing.F) {
	for _, g := range golden {
		f.Add(g.expr, g.zone, int64(1_790_000_000))
	}
	f.Add("0 0 29 2 *", "Pacific/Apia", int64(-2_200_000_000))
	f.Fuzz(func(t *testing.T, expr, zone string, unix int64) {
		loc, err := cron.LoadZone(zone)
		if err != nil {
			loc = time.UTC
		}
		s, err := cron.Parse(expr, loc, anchor)
		if err != nil {
			return
		}
		at := time.Unix(unix%100_000_000_000, 0) // 5138 AD and 1200 BC
		for range 3 {
			next, took := quickest(s, at)
			require.Less(t, took, 10*time.Millisecond, "%q after %v", expr, at)
			require.True(t, next.After(at), "%q in %s after %v: %v", expr, loc, at, next)
			at = next
		}
		again, err := cron.Parse(s.String(), loc, anchor)
		require.NoError(t, err)
		require.Equal(t, s.String(), again.String())
	})
}

// quickest asks again where an answer took long, since a busy machine stops a test for longer than any answer takes.
func quickest(s *cron.Schedule, at time.Time) (next time.Time, took time.Duration) {
	for range 5 {
		begin := time.Now()
		next = s.Next(at)
		if took = time.Since(begin); took < 10*time.Millisecond {
			break
		}
	}
	return next, took
}

func BenchmarkNext(b *testing.B) {
	loc, err := cron.LoadZone("Europe/Berlin")
	require.NoError(b, err)
	for _, expr := range []string{"0 2 * * *", "*/10 * * * *", "0 0 29 2 *", "@every 6h"} {
		b.Run(expr, func(b *testing.B) {
			s, err := cron.Parse(expr, loc, anchor)
			require.NoError(b, err)
			b.ReportAllocs()
			for at := anchor; b.Loop(); {
				if at = s.Next(at); at.Year() > 2100 {
					at = anchor
				}
			}
		})
	}
}
