package envtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/sitebackup/sitebackup/internal/env"
)

func startPostgres(ctx context.Context, set settings) (running, error) {
	if set.databaseURL != "" {
		return running{url: set.databaseURL}, nil
	}
	return inContainerOr(ctx, set, runPostgres, func(ctx context.Context) (running, error) {
		p, err := env.StartPostgres(ctx, &env.PostgresOptions{Ways: []env.Way{env.Installed, env.Fetched}, Fast: true})
		if err != nil {
			return running{}, err
		}
		return running{url: p.URL, stop: p.Stop}, nil
	})
}

func startAzurite(ctx context.Context, set settings) (running, error) {
	if set.azurite != "" {
		return running{url: set.azurite}, nil
	}
	return inContainerOr(ctx, set, runAzurite, func(ctx context.Context) (running, error) {
		a, err := env.StartAzurite(ctx, &env.AzuriteOptions{Ways: []env.Way{env.Fetched}})
		if err != nil {
			return running{}, err
		}
		return running{url: a.ConnectionString, stop: a.Stop}, nil
	})
}

// inContainerOr starts a container where an engine answers, else, or when that does not work, what
// this machine has.
func inContainerOr(
	ctx context.Context, set settings,
	container func(context.Context, settings) (running, error), otherwise func(context.Context) (running, error),
) (running, error) {
	if set.docker == "0" {
		return otherwise(ctx)
	}
	r, err := container(ctx, set)
	if err == nil {
		return r, nil
	}
	if set.docker == "1" {
		return running{}, fmt.Errorf("%w\n(BACKUP_TEST_DOCKER=1 allows no other way)", err)
	}
	r, errOther := otherwise(ctx)
	if errOther != nil {
		return running{}, errors.Join(fmt.Errorf("in a container: %w", err), errOther)
	}
	return r, nil
}
