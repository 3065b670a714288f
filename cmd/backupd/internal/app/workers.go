package app

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sitebackup/sitebackup/jobs"
)

func (a *App) startWorkers(ctx context.Context) (err error) {
	if !a.opts.Workers {
		return nil
	}
	if a.leaseDB, err = OpenPool(ctx, a.file, "leases", leaseConns); err != nil {
		return err
	}
	workers, err := jobs.New(a.Client, jobsConfig(&a.file.Workers, a.leaseDB, a.opts.Log))
	if err != nil {
		return fmt.Errorf("workers: %w", err)
	}
	a.workers = workers
	cfg := &river.Config{Logger: a.opts.Log}
	if err := workers.Configure(cfg); err != nil {
		return err
	}
	if a.riverDB, err = OpenPool(ctx, a.file, "river", riverConns); err != nil {
		return err
	}
	wait := time.Duration(a.file.Database.Wait)
	err = whileAway(ctx, wait, func() error {
		leave, err := workers.TakeBack(ctx)
		if err == nil {
			a.leaveID = leave
		}
		return err
	})
	if err != nil {
		return err
	}
	return whileAway(ctx, wait, func() error {
		client, err := river.NewClient(riverpgxv5.New(a.riverDB), cfg)
		if err != nil {
			return fmt.Errorf("make River client: %w", err)
		}
		// The client ends when it is told to, not with the start.
		if err := client.Start(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("start River client: %w", err)
		}
		a.river = client
		return nil
	})
}

func (a *App) stopWorkers(ctx context.Context) error {
	if a.river == nil {
		return nil
	}
	if err := a.river.Stop(ctx); err != nil {
		return fmt.Errorf("stop the workers: %w", err)
	}
	return nil
}
