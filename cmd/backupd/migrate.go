package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/migrations"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply the missing migrations. Any number of processes may do so at once."`
	Down   migrateDownCmd   `cmd:"" help:"Revert migrations. The data in their tables is lost."`
	Status migrateStatusCmd `cmd:"" help:"List the migrations that were applied and those that are missing."`
	Dump   migrateDumpCmd   `cmd:"" help:"Print the SQL, for another migration tool. Needs no database."`

	databaseFlags
	logFlags
}

// settings are those of the file that migrations need.
func (m *migrateCmd) settings(sys *system, c *cli) (*config.File, *migrations.Config, error) {
	f, problems := c.loadIfThere(sys, m.databaseFlags.overrides(), m.logFlags.overrides())
	if err := problems.Of("database", "log").Err(); err != nil {
		return nil, nil, err
	}
	return f, &migrations.Config{Schema: f.Database.Schema, Logger: sys.logger(f.Log)}, nil
}

// with runs fn with a pool on the database.
func (m *migrateCmd) with(ctx context.Context, sys *system, c *cli, fn func(*pgxpool.Pool, *migrations.Config) error) error {
	f, cfg, err := m.settings(sys, c)
	if err != nil {
		return err
	}
	pool, err := app.OpenPool(ctx, f, "migrate", 2)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := app.WaitForDatabase(ctx, pool, time.Duration(f.Database.Wait), cfg.Logger); err != nil {
		return err
	}
	return fn(pool, cfg)
}

type migrateUpCmd struct{}

// Run applies what is missing.
func (migrateUpCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return c.Migrate.with(ctx, sys, c, func(pool *pgxpool.Pool, cfg *migrations.Config) error {
		applied, err := migrations.Up(ctx, pool, cfg)
		return errors.Join(list(sys.out, "applied", applied), err)
	})
}

type migrateDownCmd struct {
	Steps *int `placeholder:"N" help:"How many migrations to revert, the newest first. Defaults to 1."`
	All   bool `help:"Revert all of them."`
	River bool `help:"With --all: revert River's migrations, too, and lose every job in the schema."`
	Yes   bool `help:"Confirm that the data in the tables will be lost."`
}

// Run reverts migrations.
func (d *migrateDownCmd) Run(ctx context.Context, sys *system, c *cli) error {
	if !d.Yes {
		return usage("migrate down drops tables with all that is in them: say --yes if that is what you want")
	}
	opts := &migrations.DownOptions{All: d.All, RiverToo: d.River}
	switch {
	case d.River && !d.All:
		return usage("--river goes with --all only")
	case d.Steps != nil && d.All:
		return usage("--steps and --all exclude each other")
	case d.Steps != nil && *d.Steps < 1:
		return usage("--steps must be at least 1, not %d", *d.Steps)
	case d.Steps != nil:
		opts.Steps = *d.Steps
	}
	return c.Migrate.with(ctx, sys, c, func(pool *pgxpool.Pool, cfg *migrations.Config) error {
		reverted, err := migrations.Down(ctx, pool, cfg, opts)
		return errors.Join(list(sys.out, "reverted", reverted), err)
	})
}

func list(out io.Writer, done string, versions []migrations.Applied) error {
	if len(versions) == 0 {
		_, err := fmt.Fprintln(out, "nothing to do")
		return err
	}
	for _, v := range versions {
		if _, err := fmt.Fprintf(out, "%s %s %d (%s)\n", done, v.Line, v.Version, v.Name); err != nil {
			return err
		}
	}
	return nil
}

type migrateStatusCmd struct{}

// Run lists what was applied and what is missing.
func (migrateStatusCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return c.Migrate.with(ctx, sys, c, func(pool *pgxpool.Pool, cfg *migrations.Config) error {
		report, err := migrations.Status(ctx, pool, cfg)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(sys.out, 0, 8, 2, ' ', 0)
		fmt.Fprintf(w, "schema %s\n", report.Schema)
		printLine(w, migrations.LineRiver, report.River)
		printLine(w, migrations.LineBackup, report.Backup)
		return w.Flush()
	})
}

func printLine(w io.Writer, name string, line migrations.Line) {
	for _, v := range line.Applied {
		fmt.Fprintf(w, "%s\t%d\t%s\tapplied %s\n", name, v.Version, v.Name, v.AppliedAt.UTC().Format(time.RFC3339))
	}
	for _, v := range line.Pending {
		fmt.Fprintf(w, "%s\t%d\t%s\tmissing\n", name, v.Version, v.Name)
	}
}

type migrateDumpCmd struct {
	Direction string `arg:"" optional:"" enum:"up,down" default:"up" help:"up or down."`
}

// Run prints the SQL.
func (d *migrateDumpCmd) Run(sys *system, c *cli) error {
	_, cfg, err := c.Migrate.settings(sys, c)
	if err != nil {
		return err
	}
	return migrations.Dump(sys.out, cfg, migrations.Direction(d.Direction))
}
