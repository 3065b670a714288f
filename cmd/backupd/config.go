package main

import (
	"context"
	"fmt"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Report everything that is wrong, and whether the destination and the database can be used."`
	Print configPrintCmd `cmd:"" help:"Print the effective configuration, with references in place of secrets."`

	listenFlags
	databaseFlags
	logFlags
}

func (cc *configCmd) load(sys *system, c *cli) (*config.File, config.Problems) {
	return c.load(sys, cc.listenFlags.overrides(), cc.databaseFlags.overrides(), cc.logFlags.overrides())
}

type configCheckCmd struct{}

// Run checks the configuration.
func (configCheckCmd) Run(ctx context.Context, sys *system, c *cli) error {
	f, problems := c.Conf.load(sys, c)
	notes, found := app.Check(ctx, f, problems)
	for _, note := range notes {
		fmt.Fprintln(sys.out, note)
	}
	return found.Err()
}

type configPrintCmd struct{}

// Run prints the configuration, also one with problems.
func (configPrintCmd) Run(sys *system, c *cli) error {
	f, problems := c.Conf.load(sys, c)
	if err := f.Print(sys.out); err != nil {
		return err
	}
	return problems.Err()
}
