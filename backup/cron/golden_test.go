package cron_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/cron"
)

var update = flag.Bool("update", false, "write the golden files anew; read the difference before you commit it")

// golden are the tables in testdata: from when, in which zone, which expression, and how many slots.
var golden = []struct {
	name, zone, from, expr string
	count                  int
}{
	// Berlin skips 02:00 to 03:00 on 29 March 2026 and repeats 02:00 to 03:00 on 25 October.
	{"berlin", "Europe/Berlin", "2026-03-28T00:00:00Z", "30 2 * * *", 3},
	{"berlin", "Europe/Berlin", "2026-03-28T23:30:00Z", "*/10 * * * *", 12},
	{"berlin", "Europe/Berlin", "2026-03-28T23:30:00Z", "0 * * * *", 4},
	{"berlin", "Europe/Berlin", "2026-10-24T12:00:00Z", "30 2 * * *", 3},
	{"berlin", "Europe/Berlin", "2026-10-24T23:30:00Z", "*/20 * * * *", 8},
	{"berlin", "Europe/Berlin", "2026-10-24T23:30:00Z", "0 * * * *", 4},
	{"berlin", "Europe/Berlin", "2026-10-24T22:10:00Z", "@every 1h", 4},
	// New York skips 02:00 to 03:00 on 8 March 2026 and repeats 01:00 to 02:00 on 1 November.
	{"new_york", "America/New_York", "2026-03-07T12:00:00Z", "15 2 * * *", 3},
	{"new_york", "America/New_York", "2026-03-08T06:00:00Z", "15,45 * * * *", 5},
	{"new_york", "America/New_York", "2026-10-31T12:00:00Z", "0 1 * * *", 3},
	{"new_york", "America/New_York", "2026-11-01T04:30:00Z", "*/30 * * * *", 6},
	// Lord Howe repeats half an hour, 01:30 to 02:00, on 5 April 2026 and skips 02:00 to 02:30 on 4 October.
	{"lord_howe", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "*/15 * * * *", 8},
	{"lord_howe", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "45 1 * * *", 3},
	{"lord_howe", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", "*/15 * * * *", 5},
	{"lord_howe", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "10 2 * * *", 3},
	// Tokyo has no daylight saving.
	{"tokyo", "Asia/Tokyo", "2026-03-28T00:00:00Z", "30 2 * * *", 3},
	{"tokyo", "Asia/Tokyo", "2026-12-31T00:00:00Z", "@daily", 3},
	// Cairo has no midnight on 24 April 2026; on 29 October, 23:00 to 24:00 comes twice.
	{"cairo", "Africa/Cairo", "2026-04-22T12:00:00Z", "@daily", 4},
	{"cairo", "Africa/Cairo", "2026-10-29T18:00:00Z", "0 23,0 * * *", 4},
	// Samoa had no 30 December 2011.
	{"apia", "Pacific/Apia", "2011-12-29T00:00:00Z", "0 2 * * *", 4},
	{"apia", "Pacific/Apia", "2011-12-30T08:00:00Z", "0 */12 * * *", 4},
	{"apia", "Pacific/Apia", "2011-12-01T00:00:00Z", "0 0 30 12 *", 2},
	// The calendar, without any zone in the way.
	{"calendar", "", "2026-11-23T00:00:00Z", "0 0 29 2 *", 3},
	{"calendar", "", "2096-02-29T00:00:00Z", "0 0 29 2 *", 2},
	{"calendar", "", "2026-01-01T00:00:00Z", "0 0 31 * *", 8},
	{"calendar", "", "2027-01-01T00:00:00Z", "0 0 29,30 * *", 6},
	{"calendar", "", "2026-12-30T00:00:00Z", "59 23 31 12 *", 2},
	{"calendar", "", "2026-12-31T23:58:00Z", "* * * * *", 3},
	{"calendar", "", "2026-11-23T00:00:00Z", "@yearly", 2},
	{"calendar", "", "2026-11-23T00:00:00Z", "@monthly", 2},
	{"calendar", "", "2026-11-23T00:00:00Z", "@weekly", 2},
	{"calendar", "", "2026-11-23T00:00:00Z", "@hourly", 2},
	{"calendar", "", "2026-11-23T00:00:00Z", "0 0 13 * FRI", 4}, // both restricted: either
	{"calendar", "", "2026-11-23T00:00:00Z", "0 0 */10 * 1", 5}, // a step restricts
	{"calendar", "", "2026-11-23T00:00:00Z", "0 0 * * fri", 2},  // one alone
	{"calendar", "", "2026-11-23T00:00:00Z", "0 0 13 * *", 2},   // the other alone
	{"calendar", "", "2026-11-23T00:00:00Z", "0 0 * * 7", 2},    // Sunday
	{"calendar", "", "2026-11-23T00:00:00Z", "0 0 * * 5-7", 4},  // Friday to Sunday
	{"calendar", "", "2026-11-23T00:00:00Z", "0 0 * * 1/2", 4},  // Monday, Wednesday, Friday
	{"calendar", "", "2026-11-23T00:00:00Z", "5/20 3 1 JAN *", 4},
}

// TestNext_golden compares the slots of the table above with testdata, where each is written in local time with its offset, and in UTC.
func TestNext_golden(t *testing.T) {
	t.Parallel()
	files := make(map[string]*strings.Builder)
	for _, g := range golden {
		loc, err := cron.LoadZone(g.zone)
		require.NoError(t, err)
		at, err := time.Parse(time.RFC3339, g.from)
		require.NoError(t, err)
		s, err := cron.Parse(g.expr, loc, at)
		require.NoError(t, err)
		if files[g.name] == nil {
			files[g.name] = new(strings.Builder)
		}
		fmt.Fprintf(files[g.name], "%s in %s after %s\n", s, loc, at.In(loc).Format("2006-01-02 15:04:05 -07:00"))
		for range g.count {
			at = s.Next(at)
			fmt.Fprintf(files[g.name], "  %s  %s\n", at.Format("Mon 2006-01-02 15:04:05 -07:00"), at.UTC().Format(time.RFC3339))
		}
	}
	for name, got := range files {
		path := filepath.Join("testdata", name+".golden")
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o600))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), got.String(), name)
	}
}
