package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize/english"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
)

type storeCmd struct {
	Check storeCheckCmd `cmd:"" help:"Check that the configured destination does everything that backups rely on: run the conformance suite below a prefix of its own, and delete what it stored. The exit status is 1 if a case fails."`
}

type storeCheckCmd struct {
	Output string `short:"o" enum:"text,json" default:"text" help:"Output format: text or json."`
}

// Run checks the destination.
func (s *storeCheckCmd) Run(ctx context.Context, sys *system, c *cli) error {
	f, problems := c.load(sys)
	if err := problems.Of("destination").Err(); err != nil {
		return err
	}
	store, err := app.OpenStore(ctx, &f.Destination)
	if err != nil {
		return errors.New(app.OneLine(err))
	}
	var cases []app.StoreCase
	failed := 0
	err = app.CheckStore(ctx, store, f.Destination.Prefix, func(found app.StoreCase) error {
		cases = append(cases, found)
		if !found.OK {
			failed++
		}
		return s.tell(sys, found)
	})
	if err != nil {
		return err
	}
	if s.Output == outputJSON {
		if err := printJSON(sys, map[string]any{"destination": store.String(), "ok": failed == 0, "cases": cases}); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("the destination %s doesn't do what backups rely on: %d of %s failed", store, failed, english.Plural(len(cases), "case", ""))
	}
	return nil
}

// tell prints a line, as soon as it is known.
func (s *storeCheckCmd) tell(sys *system, found app.StoreCase) error {
	if s.Output == outputJSON {
		return nil
	}
	line := fmt.Sprintf("ok      %s (%.2f s)", found.Name, found.Seconds)
	if !found.OK {
		line = "FAILED  " + found.Error
	}
	_, err := fmt.Fprintln(sys.out, line)
	return err
}
