package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/remote"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

type erasureCmd struct {
	serverFlags

	Start erasureStartCmd `cmd:"" help:"Erase everything of a user, or of one of the user's sites: schedules, backups with their history, and every object in the store. This can't be undone."`
	Show  erasureShowCmd  `cmd:"" help:"Show the progress of an erasure, or its receipt."`
}

type erasureStartCmd struct {
	User string `required:"" placeholder:"ID" help:"The user."`
	Site string `placeholder:"ID" help:"Only this site of the user. Defaults to everything of the user."`
	Yes  bool   `short:"y" help:"Confirm the erasure. Without it nothing is erased."`
	Wait bool   `default:"true" negatable:"" help:"Wait until everything is gone."`
}

// Run erases.
func (e *erasureStartCmd) Run(ctx context.Context, sys *system, c *cli) error {
	what := "all that is of user " + e.User
	if e.Site != "" {
		what += ", site " + e.Site
	}
	for _, id := range []string{e.User, e.Site} {
		if id == "." || id == ".." { // no path can have them
			return usage("%q can't be sent as an id", id)
		}
	}
	if strings.TrimSpace(e.User) == "" {
		return usage("--user must not be empty")
	}
	if !e.Yes {
		return usage("this erases %s, and there is no way back: say --yes", what)
	}
	api, err := c.Erasure.client()
	if err != nil {
		return err
	}
	var res *http.Response
	if e.Site == "" {
		res, err = api.EraseUser(ctx, e.User)
	} else {
		res, err = api.EraseSite(ctx, e.User, e.Site)
	}
	gone, err := client.Read[client.Erasure](res, err)
	if err != nil {
		return err
	}
	if e.Wait {
		if gone, err = awaitErasure(ctx, sys, api, gone); err != nil {
			return err
		}
	}
	return printErasure(sys, &c.Erasure.serverFlags, gone)
}

// erasurePoll is how often an erasure that is under way is looked at.
const erasurePoll = time.Second

// awaitErasure waits until everything is gone, and says what holds it up. A server that
// is away for a moment is asked again.
func awaitErasure(ctx context.Context, sys *system, api *client.Client, e *client.Erasure) (*client.Erasure, error) {
	tick := time.NewTicker(erasurePoll)
	defer tick.Stop()
	told := ""
	for e.Status != client.ErasureStatusDone {
		select {
		case <-ctx.Done():
			return nil, interrupted(ctx, context.Cause(ctx), "erasure "+e.ID.String()+" goes on")
		case <-tick.C:
		}
		now, err := client.Read[client.Erasure](api.GetErasure(ctx, e.ID.String()))
		switch {
		case err == nil:
			e = now
		case ctx.Err() != nil:
			continue
		case !remote.Passing(err):
			return nil, err
		}
		text := ""
		if err != nil {
			text = err.Error()
		} else if e.Error != nil {
			text = *e.Error
		}
		if text != "" && text != told {
			fmt.Fprintf(sys.err, "backupd: erasure %s is held up: %s\n", e.ID, text)
		}
		told = text
	}
	return e, nil
}

type erasureShowCmd struct {
	ID string `arg:"" help:"The erasure's id."`
}

// Run shows an erasure.
func (s *erasureShowCmd) Run(ctx context.Context, sys *system, c *cli) error {
	id, err := checkID("erasure", s.ID)
	if err != nil {
		return err
	}
	api, err := c.Erasure.client()
	if err != nil {
		return err
	}
	e, err := client.Read[client.Erasure](api.GetErasure(ctx, id))
	if err != nil {
		return err
	}
	return printErasure(sys, &c.Erasure.serverFlags, e)
}

// printErasure prints an erasure, which is its receipt once it is done.
func printErasure(sys *system, c *serverFlags, e *client.Erasure) error {
	if c.Output == outputJSON {
		return printJSON(sys, e)
	}
	w := tabwriter.NewWriter(sys.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "erasure %s: %s\n", e.ID, e.Status)
	fmt.Fprintf(w, "  asked for\t%s\n", e.RequestedAt.Format(time.RFC3339))
	fmt.Fprintf(w, "  done\t%s\n", timeText(e.FinishedAt, "not yet"))
	fmt.Fprintf(w, "  backups\t%d\n", e.Backups)
	fmt.Fprintf(w, "  schedules\t%d\n", e.Schedules)
	fmt.Fprintf(w, "  objects\t%d, %d bytes\n", e.Objects, e.Bytes)
	if e.Error != nil {
		fmt.Fprintf(w, "  held up\t%s\n", *e.Error)
	}
	return w.Flush()
}
