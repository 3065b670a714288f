package retention_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/retention"
)

const hours = retention.Duration(time.Hour)

// TestPlanTable has plans that were worked out by hand. A backup is a line "time
// status providers group", its ID is the line's number from 1. The plan is newest first.
func TestPlanTable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone   string
		policy *retention.Policy
		now    string
		given  string
		want   string
	}{
		"a day with the repeated hour, two hours": {"Europe/Berlin", &retention.Policy{KeepHourly: 2}, "2026-10-25T09:00Z", `
			2026-10-25T01:45Z good site
			2026-10-25T00:50Z good site
			2026-10-25T00:10Z good site
			2026-10-24T23:30Z good site`, `
			1 keep hourly 2026-10-25T02+01:00, newest-good:site
			2 keep hourly 2026-10-25T02+02:00
			3 remove policy
			4 remove policy`},
		"days end at the zone's midnight, on a day of 25 hours": {"Europe/Berlin", &retention.Policy{KeepDaily: 2}, "2026-10-26T09:00Z", `
			2026-10-25T23:30Z good site
			2026-10-25T22:30Z good site
			2026-10-24T22:00Z good site
			2026-10-24T21:59Z good site`, `
			1 keep daily 2026-10-26, newest-good:site
			2 keep daily 2026-10-25
			3 remove policy
			4 remove policy`},
		"a day of 23 hours, without the hour that is skipped": {"America/New_York", &retention.Policy{KeepHourly: 2, KeepDaily: 1}, "2026-03-08T12:00Z", `
			2026-03-08T07:00Z good site
			2026-03-08T06:59Z good site
			2026-03-08T05:00Z good site
			2026-03-08T04:59Z good site`, `
			1 keep hourly 2026-03-08T03-04:00, daily 2026-03-08, newest-good:site
			2 keep hourly 2026-03-08T01-05:00
			3 remove policy
			4 remove policy`},
		"clocks that go back over midnight": {"America/St_Johns", &retention.Policy{KeepDaily: 3}, "2010-11-07T12:00Z", `
			2010-11-07T04:00Z good site
			2010-11-07T03:00Z good site
			2010-11-07T02:30:30Z good site
			2010-11-06T02:00Z good site`, `
			1 keep daily 2010-11-07, newest-good:site
			2 keep daily 2010-11-06
			3 remove policy
			4 keep daily 2010-11-05`},
		"a week across the end of the year": {"", &retention.Policy{KeepWeekly: 2, KeepYearly: 2, KeepMonthly: 2}, "2027-01-10T00:00Z", `
			2027-01-04T00:00Z good site
			2027-01-03T23:59Z good site
			2026-12-31T12:00Z good site
			2026-12-28T00:00Z good site
			2026-12-27T23:59Z good site`, `
			1 keep weekly 2027-W01, monthly 2027-01, yearly 2027, newest-good:site
			2 keep weekly 2026-W53
			3 keep monthly 2026-12, yearly 2026
			4 remove policy
			5 remove policy`},
		"a provider that the newest lacks, at least two": {"", &retention.Policy{AtLeast: 2}, "2026-11-23T12:00Z", `
			2026-11-23T00:00Z good site
			2026-11-22T00:00Z good site
			2026-11-21T00:00Z good site,db
			2026-11-20T00:00Z good site
			2026-11-19T00:00Z good db
			2026-11-18T00:00Z good site,db`, `
			1 keep at-least:site, newest-good:site
			2 keep at-least:site
			3 keep at-least:db, newest-good:db
			4 remove policy
			5 keep at-least:db
			6 remove policy`},
		"only good ones count, and what isn't ages": {"", &retention.Policy{KeepLast: 1}, "2026-11-23T00:00Z", `
			2026-11-24T00:00Z good site
			2026-11-22T00:00Z open -
			2026-11-21T00:00Z failed -
			2026-11-20T00:00Z corrupt site
			2026-11-19T00:00Z deleting site
			2026-11-18T00:00Z good site
			2026-11-17T00:00Z good site
			2026-11-16T00:00Z canceled -
			2026-11-16T00:00:01Z failed -
			2026-11-10T00:00Z corrupt site
			2026-11-09T00:00Z corrupt site,db
			2026-11-08T00:00Z held site`, `
			1 keep future
			2 keep open
			3 keep failed-recent
			4 keep corrupt-recent, no-newer-good:site
			5 remove deleting
			6 keep last, newest-good:site
			7 remove policy
			9 keep failed-recent
			8 remove failed-age
			10 remove corrupt-superseded
			11 keep no-newer-good:db
			12 keep held`},
		"exactly as old as within": {"", &retention.Policy{KeepWithin: 24 * hours}, "2026-11-23T00:00Z", `
			2026-11-22T12:00Z good site
			2026-11-22T00:00:01Z good site
			2026-11-22T00:00Z good site`, `
			1 keep within, newest-good:site
			2 keep within
			3 remove policy`},
		"the newest copy of a provider is of another group": {"", &retention.Policy{KeepLast: 1}, "2026-11-23T00:00Z", `
			2026-11-22T00:00Z good site other
			2026-11-21T00:00Z good site
			2026-11-20T00:00Z good site
			2026-11-19T00:00Z failed - other`, `
			1 keep no-policy, newest-good:site
			2 keep last
			3 remove policy
			4 keep no-policy`},
		"an empty policy": {"", &retention.Policy{}, "2026-11-23T00:00Z", `
			2026-11-22T00:00Z good site
			2026-11-01T00:00Z failed -`, `
			1 keep invalid-policy, newest-good:site
			2 keep invalid-policy`},
		"the same time": {"", &retention.Policy{KeepDaily: 1}, "2026-11-23T00:00Z", `
			2026-11-22T00:00Z good site
			2026-11-22T00:00Z good site`, `
			2 keep daily 2026-11-22, newest-good:site
			1 remove policy`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var loc *time.Location // of the cases without a zone
			if c.zone != "" {
				var err error
				loc, err = time.LoadLocation(c.zone)
				require.NoError(t, err)
			}
			plan := retention.Plan(parseBackups(t, c.given), map[string]retention.Group{"": {Policy: c.policy, Location: loc}}, parseTime(t, c.now))
			var got []string
			for _, d := range plan {
				verb := map[bool]string{true: "keep", false: "remove"}[d.Keep]
				got = append(got, strings.TrimLeft(d.Backup.ID, "0")+" "+verb+" "+strings.Join(d.Reasons, ", "))
			}
			require.Equal(t, trimmedLines(c.want), got)
		})
	}
}

func parseBackups(t *testing.T, text string) (backups []retention.Backup) {
	t.Helper()
	for i, line := range trimmedLines(text) {
		f := append(strings.Fields(line), "")
		b := retention.Backup{ID: fmt.Sprintf("%02d", i+1), At: parseTime(t, f[0]), Status: retention.Status(f[1]), Group: f[3]}
		if f[1] == "held" {
			b.Status, b.Held = retention.Good, true
		}
		if f[2] != "-" {
			b.Providers = strings.Split(f[2], ",")
		}
		backups = append(backups, b)
	}
	return backups
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04Z07:00", s)
	if err != nil {
		at, err = time.Parse(time.RFC3339, s)
	}
	require.NoError(t, err)
	return at
}

func trimmedLines(s string) (lines []string) {
	for line := range strings.Lines(strings.TrimSpace(s)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func BenchmarkPlan(b *testing.B) {
	loc, err := time.LoadLocation("Europe/Berlin")
	require.NoError(b, err)
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	var backups []retention.Backup
	for i := range 10_000 {
		backups = append(backups, retention.Backup{
			ID: fmt.Sprintf("%05d", i), At: now.Add(-time.Duration(i*7919%10_000) * time.Hour), Status: retention.Good, Providers: []string{"site", "db"},
		})
	}
	p := &retention.Policy{KeepLast: 10, KeepHourly: 1000, KeepDaily: 400, KeepWeekly: 52, KeepMonthly: 24, KeepYearly: 10, AtLeast: 3}
	for b.Loop() {
		retention.Plan(backups, map[string]retention.Group{"": {Policy: p, Location: loc}}, now)
	}
}

// A backup that failed and was retried later has newer data than one that was asked for
// meanwhile: that isn't to be lost by any policy.
func TestPlanKeepsNewestData(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	plan := retention.Plan([]retention.Backup{
		{ID: "retried", At: ago(5), EndedAt: ago(1), Status: retention.Good, Providers: []string{"db"}},
		{ID: "meanwhile", At: ago(4), EndedAt: ago(4), Status: retention.Good, Providers: []string{"db"}},
		{ID: "earlier", At: ago(6), EndedAt: ago(6), Status: retention.Good, Providers: []string{"db"}},
	}, map[string]retention.Group{"": {Policy: &retention.Policy{KeepLast: 1}}}, now)
	var got []string
	for _, d := range plan {
		got = append(got, d.Backup.ID+" "+strings.Join(d.Reasons, ", "))
	}
	require.Equal(t, []string{"meanwhile last, newest-good:db", "retried newest-good:db", "earlier policy"}, got)
}
