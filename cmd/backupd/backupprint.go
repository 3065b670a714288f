package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sitebackup/sitebackup/httpapi/client"
)

const outputJSON = "json"

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func printJSON(sys *system, v any) error {
	enc := json.NewEncoder(sys.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func printList(sys *system, c *serverFlags, all []client.BackupSummary) error {
	if c.Output == outputJSON {
		return printJSON(sys, all)
	}
	w := tabwriter.NewWriter(sys.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATUS\tUSER\tSITE\tCREATED\tENDED\tERROR")
	for i := range all {
		b := &all[i]
		failure := ""
		if b.Error != nil {
			failure = b.Error.Message
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", b.ID, b.Status, b.UserID, b.SiteID, timeText(&b.CreatedAt, "-"), timeText(b.FinishedAt, "-"), failure)
	}
	return w.Flush()
}

// printBackup prints a backup: a line for it, one for each export, when what is tried
// again, what is wrong, and the attempts that have ended.
func printBackup(sys *system, c *serverFlags, b *client.Backup) error {
	if c.Output == outputJSON {
		return printJSON(sys, b)
	}
	w := tabwriter.NewWriter(sys.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "backup %s of user %s, site %s: %s\n", b.ID, b.UserID, b.SiteID, b.Status)
	for i := range b.Tasks {
		t := &b.Tasks[i]
		fmt.Fprintf(w, "  %s\t%s\t%s\tattempt %d\n", t.Provider, t.Status, sizeText(t), t.Attempt)
	}
	if b.Hold != nil {
		fmt.Fprintf(w, "  held since %s", b.Hold.Since.Format(time.RFC3339))
		if b.Hold.Reason != nil {
			fmt.Fprintf(w, ": %s", *b.Hold.Reason)
		}
		fmt.Fprintln(w)
	}
	printFailure(w, "backup", b.Error)
	printRetry(w, "backup", b.NextAttemptAt)
	for i := range b.Tasks {
		t := &b.Tasks[i]
		printFailure(w, t.Provider, t.Error)
		printRetry(w, t.Provider, t.NextAttemptAt)
	}
	for i := range b.Tasks {
		for j := range b.Tasks[i].Attempts {
			printAttempt(w, b.Tasks[i].Provider, &b.Tasks[i].Attempts[j])
		}
	}
	printVerification(w, b.Verification)
	return w.Flush()
}

func printRetry(w *tabwriter.Writer, who string, at *time.Time) {
	if at != nil {
		fmt.Fprintf(w, "  %s: next attempt at %s\n", who, timeText(at, "-"))
	}
}

func printAttempt(w *tabwriter.Writer, provider string, a *client.Attempt) {
	failure := ""
	if a.Error != nil {
		failure = ": " + a.Error.Message
	}
	fmt.Fprintf(w, "  %s, attempt %d, %s to %s: %s at %s%s\n", provider, a.N, timeText(&a.StartedAt, "-"), timeText(&a.EndedAt, "-"), a.Outcome, bytesText(a.ReceivedBytes), failure)
}

func printVerification(w *tabwriter.Writer, v *client.Verification) {
	if v == nil {
		return
	}
	if v.Error == nil {
		fmt.Fprintf(w, "  verified %s: %d exports, %d parts, %s\n", timeText(&v.FinishedAt, "-"), v.Objects, v.Parts, bytesText(v.Bytes))
	}
	for i := range v.Problems {
		p := &v.Problems[i]
		fmt.Fprintf(w, "  damaged: %s\n", damageText(p.Provider, p.Part, p.What, p.Want, p.Got))
	}
	printFailure(w, "verification of "+timeText(&v.FinishedAt, "-"), v.Error)
}

func printFailure(w *tabwriter.Writer, who string, f *client.Failure) {
	if f == nil {
		return
	}
	hint := ""
	if f.Hint != nil {
		hint = ". " + *f.Hint
	}
	fmt.Fprintf(w, "  %s: %s%s\n", who, f.Message, hint)
}

func damageText(provider *string, part *int64, what, want, got string) string {
	who := "manifest"
	if provider != nil && *provider != "" {
		who = *provider
	}
	if part != nil {
		who += fmt.Sprintf(", part %d", *part)
	}
	return fmt.Sprintf("%s: %s is %s and should be %s", who, what, got, want)
}

// sizeText is how far an export is.
func sizeText(t *client.Task) string {
	switch {
	case t.Size != nil:
		return bytesText(*t.Size)
	case t.AnnouncedSize != nil:
		return bytesText(received(t)) + " of " + bytesText(*t.AnnouncedSize)
	default:
		return bytesText(received(t))
	}
}

// received is how far a task is, whatever the last heartbeat said.
func received(t *client.Task) int64 {
	if t.Size != nil {
		return *t.Size
	}
	return max(t.ReceivedBytes, t.StoredBytes)
}
