package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/sitebackup/sitebackup/httpapi/client"
)

func printSchedules(sys *system, c *serverFlags, all []client.Schedule) error {
	if c.Output == outputJSON {
		return printJSON(sys, all)
	}
	w := tabwriter.NewWriter(sys.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tUSER\tSITE\tCRON\tZONE\tNEXT RUN\tSTANDS")
	for i := range all {
		s := &all[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Name, s.UserID, s.SiteID, s.Cron, zoneText(s), timeText(s.NextRunAt, "never"), standsText(s))
	}
	return w.Flush()
}

// printSchedule prints a schedule: a line for it, and what is worth knowing of it.
func printSchedule(sys *system, c *serverFlags, s *client.Schedule) error {
	if c.Output == outputJSON {
		return printJSON(sys, s)
	}
	w := tabwriter.NewWriter(sys.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "schedule %s, %s, of user %s, site %s: %s\n", s.ID, s.Name, s.UserID, s.SiteID, standsText(s))
	fmt.Fprintf(w, "  runs\t%s, %s\n", s.Cron, zoneText(s))
	fmt.Fprintf(w, "  next run\t%s\n", timeText(s.NextRunAt, "never"))
	fmt.Fprintf(w, "  last slot\t%s\n", timeText(s.LastSlot, "none yet"))
	fmt.Fprintf(w, "  newest good backup\t%s\n", timeText(s.LastSuccessAt, "none yet"))
	if s.Declared != nil && *s.Declared {
		fmt.Fprint(w, "  declared in the server's configuration file\n")
	}
	return w.Flush()
}

func zoneText(s *client.Schedule) string {
	if s.TimeZone == nil {
		return "UTC"
	}
	return *s.TimeZone
}

// standsText is how a schedule stands, in few words; what is worst first.
func standsText(s *client.Schedule) string {
	text := "active"
	if s.Paused != nil && *s.Paused {
		text = "paused"
	}
	if s.Stale != nil && *s.Stale {
		text = "stale, " + text
	}
	return text
}

func timeText(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return t.Format(time.RFC3339)
}

func printNext(sys *system, c *serverFlags, slots []client.UpcomingSlot) error {
	if c.Output == outputJSON {
		return printJSON(sys, slots)
	}
	w := tabwriter.NewWriter(sys.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SLOT\tRUNS")
	for _, s := range slots {
		fmt.Fprintf(w, "%s\t%s\n", s.Slot.Format(time.RFC3339), s.RunAt.Format(time.RFC3339))
	}
	return w.Flush()
}

func printSlots(sys *system, c *serverFlags, slots []client.ScheduleSlot) error {
	if c.Output == outputJSON {
		return printJSON(sys, slots)
	}
	w := tabwriter.NewWriter(sys.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SLOT\tLAST\tSLOTS\tSTATUS\tBACKUP OR REASON")
	for i := range slots {
		s := &slots[i]
		why := ""
		switch {
		case s.BackupID != nil:
			why = s.BackupID.String()
		case s.Reason != nil:
			why = string(*s.Reason)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Slot.Format(time.RFC3339), s.LastSlot.Format(time.RFC3339), s.Slots, s.Status, why)
	}
	return w.Flush()
}
