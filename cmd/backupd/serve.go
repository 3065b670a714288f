package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

type serveCmd struct {
	NoWorkers bool `env:"BACKUPD_NO_WORKERS" help:"Only serve the API, and leave making backups to other processes."`
	NoAPI     bool `env:"BACKUPD_NO_API" name:"no-api" help:"Only make backups, and serve no API."`
	Migrate   bool `env:"BACKUPD_MIGRATE" help:"Migrate the database first."`

	listenFlags
	databaseFlags
	logFlags
}

// gcPercent is how much garbage there may be for what is in use, unless GOGC says so.
// What a server holds for a client that follows events is 52 KB instead of the 68 that it is
// with Go's 100; the buffers of exports are reused and make no garbage.
const gcPercent = 50

// Run serves until ctx ends.
func (s *serveCmd) Run(ctx context.Context, sys *system, c *cli) error {
	if s.NoWorkers && s.NoAPI {
		return usage("--no-workers and --no-api together leave nothing to do")
	}
	f, problems := c.load(sys, s.listenFlags.overrides(), s.databaseFlags.overrides(), s.logFlags.overrides())
	if s.NoWorkers {
		problems = problems.WithoutUnset("destination", "providers") // it uses neither
	}
	if err := problems.Err(); err != nil {
		return err
	}
	if _, given := sys.env("GOGC"); !given {
		debug.SetGCPercent(gcPercent)
	}
	log := sys.logger(f.Log)
	a, err := app.Start(ctx, f, app.Options{API: !s.NoAPI, Workers: !s.NoWorkers, Migrate: s.Migrate, Version: version(), Log: log})
	if err != nil {
		return startError(ctx, err)
	}
	log.InfoContext(ctx, "ready", "url", a.URL, "workers", !s.NoWorkers, "probes", a.Probes)
	err = a.Wait(ctx)
	log.InfoContext(ctx, "stopping")
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), app.StopPatience)
	defer cancel()
	return errors.Join(err, a.Stop(stopping))
}

// startError is nil where somebody stopped the start.
func startError(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	var problems config.Problems
	if errors.As(err, &problems) {
		return problems
	}
	return fmt.Errorf("%s", app.OneLine(err)) //nolint:err113 // it ends here
}
