package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/jobs"
)

const (
	taskProvider = "site"
	warmProvider = "warm"
	warmUps      = 3
)

// task makes a backup of one task as backupd does: planned, exported through httpexport, staged,
// gated, committed and sealed by River's jobs. The lap begins when it is asked for, with
// the workers running, and ends when it is done. The worker has made some tiny ones before, of
// another provider, since one that stands there and waits has been used: what it holds open are
// connections to Postgres and the store, and none to the source.
func (c *workerCmd) task(ctx context.Context, out *outcome) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	pool, err := pgxpool.New(ctx, c.Database)
	if err != nil {
		return errors.New("the database's URL can't be read")
	}
	defer pool.Close()
	riverPool, err := pgxpool.New(ctx, c.Database) // River has one of its own, as in backupd
	if err != nil {
		return errors.New("the database's URL can't be read")
	}
	defer riverPool.Close()
	backups, err := c.backups(pool, log)
	if err != nil {
		return err
	}
	client, err := c.river(backups, riverPool, log)
	if err != nil {
		return err
	}
	ended, unsubscribe := client.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled)
	defer unsubscribe()
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("start River client: %w", err)
	}
	for range warmUps {
		if _, err = c.backUp(ctx, backups, ended, warmProvider); err != nil {
			break
		}
	}
	var done *backup.Backup
	if err == nil {
		lap := startLap()
		done, err = c.backUp(ctx, backups, ended, taskProvider)
		_, out.CPU = lap.end()
	}
	if err == nil {
		// River tells of ended jobs some time later: the rows know when it was.
		out.Wall = done.FinishedAt.Sub(done.CreatedAt)
		out.SHA256 = hex.EncodeToString(done.Tasks[0].SHA256)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, client.Stop(stopping))
}

func (c *workerCmd) backups(pool *pgxpool.Pool, log *slog.Logger) (*backup.Client, error) {
	config, err := trust(c.Cert)
	if err != nil {
		return nil, err
	}
	var providers []backup.ProviderConfig
	tiny := c.Source[:strings.LastIndexByte(c.Source, '/')] + "/1" // its length is the last segment
	for name, url := range map[string]string{taskProvider: c.Source, warmProvider: tiny} {
		source, err := httpexport.New(&httpexport.Config{URL: url + "/export/{userId}/{siteId}", TLS: config})
		if err != nil {
			return nil, err
		}
		providers = append(providers, backup.ProviderConfig{Name: name, Provider: source})
	}
	store, err := c.store()
	if err != nil {
		return nil, err
	}
	return backup.New(&backup.Config{
		Pool: pool, Schema: c.Schema, Store: store, Logger: log,
		Providers: providers,
	})
}

func (c *workerCmd) river(backups *backup.Client, pool *pgxpool.Pool, log *slog.Logger) (*river.Client[pgx.Tx], error) {
	workers, err := jobs.New(backups, &jobs.Config{PartSize: int64(c.Part), Concurrency: c.Concurrency})
	if err != nil {
		return nil, err
	}
	config := &river.Config{Logger: log}
	if err := workers.Configure(config); err != nil {
		return nil, err
	}
	return river.NewClient(riverpgxv5.New(pool), config)
}

// backUp asks for a backup of what the provider has and waits until it is done.
func (c *workerCmd) backUp(ctx context.Context, backups *backup.Client, ended <-chan *river.Event, provider string) (*backup.Backup, error) {
	b, err := backups.Start(ctx, backup.StartParams{UserID: "bench", SiteID: c.Name, Providers: []string{provider}})
	if err != nil {
		return nil, err
	}
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case e := <-ended:
			if e.Kind == river.EventKindJobFailed {
				return nil, fmt.Errorf("job %s: %s", e.Job.Kind, e.Job.Errors[len(e.Job.Errors)-1].Error)
			}
		}
		if b, err = backups.Get(ctx, b.ID); err != nil {
			return nil, err
		}
		if !b.State.Terminal() {
			continue
		}
		if b.State != backup.StateDone {
			return nil, fmt.Errorf("the backup is %s: %+v", b.State, b.Failure)
		}
		return b, nil
	}
}
