package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/jobs"
	"github.com/sitebackup/sitebackup/migrations"
)

// Check finds out what is wrong with a configuration beyond what reading it has
// found: it looks at the destination and at the database, too, unless what was
// said of them is wrong already. Notes are what is well.
func Check(ctx context.Context, f *config.File, found config.Problems) (notes []string, problems config.Problems) {
	c := &checker{file: f, problems: found, log: slog.New(slog.DiscardHandler)}
	_, more := Providers(f)
	c.problems = append(c.problems, more...)
	if c.sound("server") && loopbackOnly(f) {
		c.result("server.listen", "", CheckListen(ctx, f.Server.Listen))
	}
	if c.sound("destination") {
		note, err := c.destination(ctx)
		c.result("destination", note, err)
	}
	if c.sound("database") {
		note, err := c.database(ctx)
		c.result("database.url", note, err)
	}
	c.result("workers", "", c.workers(ctx))
	c.close()
	c.problems.Sort()
	return c.notes, c.problems
}

// checker gathers what is found.
type checker struct {
	file     *config.File
	log      *slog.Logger
	notes    []string
	problems config.Problems
	closers  []func()
}

// sound reports whether nothing is wrong with a section.
func (c *checker) sound(section string) bool {
	return len(c.problems.Of(section)) == 0
}

func (c *checker) result(path, note string, err error) {
	switch {
	case err != nil:
		c.problems = append(c.problems, c.file.Problem(path, "%s", OneLine(err)))
	case note != "":
		c.notes = append(c.notes, note)
	}
}

func (c *checker) destination(ctx context.Context) (string, error) {
	store, err := OpenStore(ctx, &c.file.Destination)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("destination %s: can be written to", store), nil
}

func (c *checker) database(ctx context.Context) (string, error) {
	pool, err := OpenPool(ctx, c.file, "check", 1)
	if err != nil {
		return "", err
	}
	c.closers = append(c.closers, pool.Close)
	if err := WaitForDatabase(ctx, pool, time.Duration(c.file.Database.Wait), c.log); err != nil {
		return "", err
	}
	err = migrations.Validate(ctx, pool, &migrations.Config{Schema: c.file.Database.Schema, Logger: c.log})
	if errors.Is(err, migrations.ErrPending) {
		return "database: reachable; " + OneLine(err), nil
	}
	return "database: reachable and migrated", err
}

// workers checks the workers' settings with the package that they are for. That
// wants a pool and a store, and asks nothing of them.
func (c *checker) workers(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, "postgres://localhost/unused")
	if err != nil {
		return err
	}
	c.closers = append(c.closers, pool.Close)
	client, err := backup.New(&backup.Config{Pool: pool, Store: unusedStore{}, Logger: c.log})
	if err != nil {
		return err
	}
	limits := &c.file.Limits
	for _, section := range []struct {
		path string
		cfg  backup.Config
	}{
		{"limits", backup.Config{MaxSize: int64(limits.MaxSize), MaxRunningPerUser: limits.MaxRunningPerUser, MaxSkew: time.Duration(limits.MaxSkew)}},
		{"api", backup.Config{KeyLifetime: time.Duration(c.file.API.KeyLifetime)}},
		{"destination", backup.Config{Prefix: c.file.Destination.Prefix}},
	} {
		c.problems = append(c.problems, c.file.FieldProblems(section.path, &section.cfg, &backup.Config{}, func() error {
			_, err := backup.New(&section.cfg)
			return err
		})...)
	}
	cfg := jobsConfig(&c.file.Workers, nil, c.log)
	c.problems = append(c.problems, c.file.FieldProblems("workers", cfg, &jobs.Config{}, func() error {
		_, err := jobs.New(client, cfg)
		return err
	})...)
	return nil
}

type unusedStore struct{ blob.Store }

func (c *checker) close() {
	for _, fn := range c.closers {
		fn()
	}
}
