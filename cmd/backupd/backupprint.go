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
	fmt.Fprintln(w, "ID\tSTATUS\tUSER\tSITE\tCREATED")
	for i := range all {
		b := &all[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", b.ID, b.Status, b.UserID, b.SiteID, b.CreatedAt.Format(time.RFC3339))
	}
	return w.Flush()
}

// printBackup prints a backup: a line for it, one for each export, and what is
// wrong.
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
		fmt.Fprintf(w, "  held since %s\n", b.Hold.Since.Format(time.RFC3339))
	}
	printFailure(w, "backup", b.Error)
	for i := range b.Tasks {
		printFailure(w, b.Tasks[i].Provider, b.Tasks[i].Error)
	}
	if v := b.Verification; v != nil {
		fmt.Fprintf(w, "  verified %s: %d exports, %d parts, %s\n", v.FinishedAt.Format(time.RFC3339), v.Objects, v.Parts, bytesText(v.Bytes))
		for i := range v.Problems {
			p := &v.Problems[i]
			fmt.Fprintf(w, "  damaged: %s\n", damageText(p.Provider, p.Part, p.What, p.Want, p.Got))
		}
		printFailure(w, "verification", v.Error)
	}
	return w.Flush()
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
