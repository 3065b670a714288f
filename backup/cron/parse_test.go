package cron_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/cron"
)

var anchor = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestParse_refused(t *testing.T) {
	t.Parallel()
	for expr, says := range map[string]string{
		"":                        "must be a cron expression",
		" \t ":                    "must be a cron expression",
		"* * * *":                 "must have 5 fields",
		"0 * * * * *":             "must have 5 fields",
		"TZ=UTC 0 2 * * *":        "time zone",
		"CRON_TZ=UTC 0 2 * * *":   "time zone",
		"TZ=":                     "time zone",
		"60 * * * *":              `minute: "60"`,
		"* 24 * * *":              `hour: "24"`,
		"* * 0 * *":               `day of month: "0"`,
		"* * 32 * *":              `day of month: "32"`,
		"* * * 13 *":              `month: "13"`,
		"* * * * 8":               `day of week: "8"`,
		"* * * * MONDAY":          `day of week: "MONDAY"`,
		"MON * * * *":             `minute: "MON"`,
		"*/0 * * * *":             "step",
		"*/60 * * * *":            "step",
		"*/-1 * * * *":            "step",
		"*/5/5 * * * *":           "step",
		"5-1 * * * *":             "ends before it begins",
		"* * * * 5-1":             "ends before it begins",
		"* * * * 7/2":             "ends before it begins",
		"*-5 * * * *":             `minute: "*-5"`,
		"1-2-3 * * * *":           `minute: "1-2-3"`,
		"1,,2 * * * *":            "minute",
		", * * * *":               "minute",
		"*,99 * * * *":            `minute: "99"`,
		"+5 * * * *":              `minute: "+5"`,
		"0x1 * * * *":             `minute: "0x1"`,
		"0 0 ? * *":               `day of month: "?"`,
		"0 0 L * *":               `day of month: "L"`,
		"0 0 15W * *":             `day of month: "15W"`,
		"0 0 * * 5#2":             `day of week: "5#2"`,
		"H * * * *":               `minute: "H"`,
		"0 0 30 2 *":              "never due",
		"0 0 31 2,4,6,9,11 *":     "never due",
		"@reboot":                 "@hourly",
		"@daily 5":                "@hourly",
		"@triggered":              "@hourly",
		"@every":                  "duration",
		"@every 1h 30m":           "duration",
		"@every 59s":              "1m",
		"@every 0s":               "duration",
		"@every -5m":              "duration",
		"@every 90.5s":            "whole seconds",
		"@every 8785h":            "8784h",
		"@every 9999999999999h":   "duration",
		"@every soon":             "duration",
		strings.Repeat("0", 300):  "256",
		strings.Repeat("0,", 200): "256",
	} {
		s, err := cron.Parse(expr, time.UTC, anchor)
		require.ErrorContains(t, err, says, "%q", expr)
		require.Nil(t, s, "%q", expr)
		for _, internal := range []string{"strconv", "parsing", "gocron", "option", "spec", "%!"} {
			require.NotContains(t, err.Error(), internal, "%q", expr)
		}
	}
}

func TestParse_same(t *testing.T) {
	t.Parallel()
	for a, b := range map[string]string{
		"0 0 * * sun":       "0 0 * * 7",
		"0 0 * * Mon-FRI":   "0 0 * * 1-5",
		"0 0 * * 0-7":       "0 0 * * 0-6",
		"0 0 1 jan,DEC *":   "0 0 1 1,12 *",
		"  0\t0  *  * thu ": "0 0 * * 4",
		"*/1 * * * *":       "* * * * *",
		"*,5 * * * *":       "* * * * *",
		"05 02 * * *":       "5 2 * * *",
		"0 0 */1 * 3":       "0 0 * * 3",
		"@DAILY":            "@midnight",
		"@annually":         "@yearly",
		"@every 90m":        "@every 1h30m",
		"30/40 * * * *":     "30 * * * *",
		"10-50/20 * * * *":  "10,30,50 * * * *",
	} {
		x, err := cron.Parse(a, nil, anchor)
		require.NoError(t, err)
		y, err := cron.Parse(b, nil, anchor)
		require.NoError(t, err)
		p, q := anchor, anchor
		for range 100 {
			p, q = x.Next(p), y.Next(q)
			require.Equal(t, p, q, "%q and %q", a, b)
		}
	}
	s, err := cron.Parse("  0\t0  *  * thu ", nil, anchor)
	require.NoError(t, err)
	require.Equal(t, "0 0 * * thu", s.String())
}

func TestNext_every(t *testing.T) {
	t.Parallel()
	s, err := cron.Parse("@every 1h30m", time.UTC, anchor.Add(999*time.Millisecond))
	require.NoError(t, err)
	for after, want := range map[time.Duration]time.Duration{
		-200 * 365 * 24 * time.Hour: 0, // never before the anchor
		-1:                          0,
		0:                           90 * time.Minute,
		90*time.Minute - 1:          90 * time.Minute,
		90 * time.Minute:            180 * time.Minute,
		100 * 365 * 24 * time.Hour:  100*365*24*time.Hour + 90*time.Minute,
	} {
		require.Equal(t, anchor.Add(want), s.Next(anchor.Add(after)), "after %v", after)
	}
}

func TestLoadZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Local", "local", "localtime", "right/Europe/Berlin", "posix/UTC", "posixrules", "Mars/Base", "../UTC", "/etc/localtime",
		"CET-1CEST", strings.Repeat("x", 1000)} {
		loc, err := cron.LoadZone(name)
		require.Error(t, err, name)
		require.Nil(t, loc)
		require.Contains(t, err.Error(), "Europe/Berlin")
		require.Less(t, len(err.Error()), 200)
	}
	loc, err := cron.LoadZone("")
	require.NoError(t, err)
	require.Equal(t, time.UTC, loc)
}

// TestOffset_pinned pins what schedules in the field rely on. Don't change the numbers: a change moves everybody's runs.
func TestOffset_pinned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id     string
		window time.Duration
		want   time.Duration
	}{
		{"", time.Hour, 52 * time.Second},
		{"a", time.Hour, 250 * time.Second},
		{"b", time.Hour, 1546 * time.Second},
		{"0192f0c1-7a3e-7cc0-8a4b-2f6d1e9b5a77", 6 * time.Hour, 5668 * time.Second},
		{"0192f0c1-7a3e-7cc0-8a4b-2f6d1e9b5a77", 90 * time.Second, 88 * time.Second},
		{"a", 0, 0},
		{"a", -time.Hour, 0},
		{"a", 1999 * time.Millisecond, 0},
	} {
		require.Equal(t, c.want, cron.Offset(c.id, c.window), "%q in %v", c.id, c.window)
	}
}
