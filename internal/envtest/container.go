package envtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/sitebackup/sitebackup/internal/env"
)

const (
	// enginePatience keeps test runs without an engine quick.
	enginePatience = 3 * time.Second
	// containerPatience covers the pull of an image.
	containerPatience = 4 * time.Minute
)

// findEngine finds out, once, whether a Docker engine answers.
var findEngine = sync.OnceValue(func() error {
	tclog.SetDefault(tclog.NewNoopLogger()) // it would tell every test run about the engine
	ctx, cancel := context.WithTimeout(context.Background(), enginePatience)
	defer cancel()
	client, err := testcontainers.NewDockerClientWithOpts(ctx) // which asks the engine who it is
	if err != nil {
		return fmt.Errorf("find docker engine: %w", err)
	}
	return client.Close()
})

func runPostgres(ctx context.Context, set settings) (running, error) {
	if err := findEngine(); err != nil {
		return running{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, containerPatience)
	defer cancel()
	c, err := postgres.Run(ctx, set.postgresImage,
		postgres.WithUsername("backup"), postgres.WithPassword(rand.Text()), postgres.WithDatabase("postgres"),
		testcontainers.WithCmd(append([]string{"postgres"}, env.FastPostgresArguments()...)...),
		postgres.BasicWaitStrategies(),
	)
	if err != nil {
		return running{}, errors.Join(err, testcontainers.TerminateContainer(c))
	}
	url, err := c.ConnectionString(ctx, "sslmode=disable")
	if err != nil {
		return running{}, errors.Join(err, testcontainers.TerminateContainer(c))
	}
	return running{url: url, stop: terminate(c)}, nil
}

func runAzurite(ctx context.Context, set settings) (running, error) {
	if err := findEngine(); err != nil {
		return running{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, containerPatience)
	defer cancel()
	const port = "10000/tcp"
	c, err := testcontainers.Run(ctx, set.azuriteImage,
		testcontainers.WithCmd("azurite-blob", "--blobHost", "0.0.0.0", "--location", "/data",
			"--silent", "--skipApiVersionCheck", "--disableTelemetry"),
		testcontainers.WithExposedPorts(port),
		testcontainers.WithWaitStrategy(wait.ForListeningPort(port), wait.ForLog("successfully listens on")),
	)
	if err != nil {
		return running{}, errors.Join(err, testcontainers.TerminateContainer(c))
	}
	addr, err := c.PortEndpoint(ctx, port, "")
	if err != nil {
		return running{}, errors.Join(err, testcontainers.TerminateContainer(c))
	}
	return running{url: env.AzuriteConnectionString(addr), stop: terminate(c)}, nil
}

func terminate(c testcontainers.Container) func(context.Context) error {
	return func(ctx context.Context) error {
		return testcontainers.TerminateContainer(c, testcontainers.StopContext(ctx), testcontainers.StopTimeout(time.Second))
	}
}
