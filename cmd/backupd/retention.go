package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/sitebackup/sitebackup/httpapi/client"
)

type retentionCmd struct {
	serverFlags

	Plan retentionPlanCmd `cmd:"" help:"Show which backups retention would remove, and why. Removes nothing."`
}

type retentionPlanCmd struct {
	User    string `placeholder:"ID" help:"Only this user's."`
	Site    string `placeholder:"ID" help:"Only this site's."`
	Removed bool   `help:"Only those that would be, or are being, removed."`
	Limit   int    `default:"0" help:"How many backups at most; 0 for all."`
}

// Run prints the plan, page by page.
func (p *retentionPlanCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, err := c.Retention.client()
	if err != nil {
		return err
	}
	params := &client.PlanRetentionParams{UserID: orNil(p.User), SiteID: orNil(p.Site)}
	if p.Removed {
		params.Removed = &p.Removed
	}
	all, err := pages(p.Limit, func(limit int, cursor *string) ([]client.RetentionDecision, *string, error) {
		params.Limit, params.Cursor = &limit, cursor
		plan, err := client.Read[client.RetentionPlan](api.PlanRetention(ctx, params))
		if err != nil {
			return nil, nil, err
		}
		return plan.Decisions, plan.NextCursor, nil
	})
	if err != nil {
		return err
	}
	return printPlan(sys, &c.Retention.serverFlags, all)
}

func printPlan(sys *system, c *serverFlags, all []client.RetentionDecision) error {
	if c.Output == outputJSON {
		return printJSON(sys, all)
	}
	w := tabwriter.NewWriter(sys.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BACKUP\tUSER\tSITE\tCREATED\tPLAN\tREASONS")
	going := 0
	for i := range all {
		d := &all[i]
		plan := "keep"
		if !d.Keep {
			plan = "remove"
			going++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", d.BackupID, d.UserID, d.SiteID, d.CreatedAt.Format(time.RFC3339), plan, strings.Join(d.Reasons, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(sys.out, "%s: %d would stay, %d would go\n", english.Plural(len(all), "backup", ""), len(all)-going, going)
	return err
}
