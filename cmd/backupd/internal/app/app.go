package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/jobs"
	"github.com/sitebackup/sitebackup/migrations"
)

// App is a running process. Start makes one.
type App struct {
	Client *backup.Client
	Store  blob.Store // nil in a process without workers that can't open it
	URL    string     // where the API is; "" without one
	Probes string     // the address of the probes; "" without any

	file     *config.File
	opts     Options
	pool     *pgxpool.Pool         // of the API, the dashboard and the workers' ledger
	river    *river.Client[pgx.Tx] // nil without workers
	riverDB  *pgxpool.Pool         // River's own
	workers  *jobs.Workers         // nil without workers
	leaseDB  *pgxpool.Pool         // of the workers' heartbeats
	leaveID  func()                // gives the stable worker id back
	listener net.Listener          // of the API or, without one, the probes; may be nil
	server   *http.Server
	served   sync.WaitGroup
	failed   chan error
	stopUI   context.CancelFunc

	stopWatching context.CancelFunc
}

// Start starts what the options say, with ctx as the bound of the start. After
// an error nothing is left behind. The caller stops what it returns.
func Start(ctx context.Context, f *config.File, opts Options) (*App, error) {
	a := &App{file: f, opts: opts, failed: make(chan error, 1), stopUI: func() {}, stopWatching: func() {}, leaveID: func() {}}
	for _, step := range []func(context.Context) error{a.listen, a.openStore, a.openDatabase, a.makeClient, a.declareSchedules, a.startWorkers, a.serve} {
		if err := step(ctx); err != nil {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopPatience)
			defer cancel()
			return nil, errors.Join(err, a.Stop(stopping))
		}
	}
	return a, nil
}

func (a *App) listen(ctx context.Context) (err error) {
	if !a.opts.API {
		return a.listenForProbes(ctx)
	}
	if a.listener = a.opts.Listener; a.listener == nil {
		if a.listener, err = Listen(ctx, a.file); err != nil {
			return err
		}
	}
	if a.URL = a.file.Server.BaseURL; a.URL == "" {
		a.URL = urlOf(a.listener)
	}
	return nil
}

// openStore opens the destination before anybody relies on it.
func (a *App) openStore(ctx context.Context) (err error) {
	if !a.opts.Workers {
		a.openToRead(ctx)
		return nil
	}
	a.Store, err = OpenStore(ctx, &a.file.Destination)
	return err
}

// openToRead opens the destination for downloads, if this process has what it takes:
// asking for backups needs none. It doesn't ask the service, which may be away, and
// makes nothing there: the workers do.
func (a *App) openToRead(ctx context.Context) {
	const text = "without a destination: manifests and downloads are not served by this process"
	if !a.file.Readable("destination") {
		a.opts.Log.InfoContext(ctx, text, slog.String("reason", "an environment variable of the destination is not set"))
		return
	}
	store, err := openStore(ctx, a.file.Destination.Existing(), nil)
	if err != nil {
		a.opts.Log.WarnContext(ctx, text, slog.String("reason", OneLine(err)))
		return
	}
	a.Store = store
}

func (a *App) openDatabase(ctx context.Context) (err error) {
	if a.pool, err = OpenPool(ctx, a.file, "api", apiConns); err != nil {
		return err
	}
	if err := WaitForDatabase(ctx, a.pool, time.Duration(a.file.Database.Wait), a.opts.Log); err != nil {
		return err
	}
	cfg := &migrations.Config{Schema: a.file.Database.Schema, Logger: a.opts.Log}
	return whileAway(ctx, time.Duration(a.file.Database.Wait), func() error {
		if !a.opts.Migrate {
			return migrations.Validate(ctx, a.pool, cfg)
		}
		_, err := migrations.Up(ctx, a.pool, cfg)
		return err
	})
}

func (a *App) makeClient(context.Context) (err error) {
	cfg := &backup.Config{
		Pool: a.pool, Schema: a.file.Database.Schema, Store: a.Store, Prefix: a.file.Destination.Prefix,
		BaseURL: a.URL, Logger: a.opts.Log, Providers: providerNames(a.file),
		MaxSize: int64(a.file.Limits.MaxSize), MaxRunningPerUser: a.file.Limits.MaxRunningPerUser,
		MaxSkew: time.Duration(a.file.Limits.MaxSkew), KeyLifetime: time.Duration(a.file.API.KeyLifetime),
		Retention: a.file.Retention, Keep: a.file.Keep.Periods(),
	}
	if a.opts.Workers {
		var problems config.Problems
		if cfg.Providers, problems = Providers(a.file); len(problems) > 0 {
			return problems
		}
	}
	a.Client, err = backup.New(cfg)
	return err
}

// Wait returns when ctx ends, or with an error when a part of the process has
// ended by itself.
func (a *App) Wait(ctx context.Context) error {
	var workersEnded <-chan struct{}
	if a.river != nil {
		workersEnded = a.river.Stopped()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.failed:
		return err
	case <-workersEnded:
		return errors.New("the workers have stopped by themselves")
	}
}

// Stop ends everything in order: no new requests and no new jobs; requests are
// answered, running tasks write their journal and hand over; then the pools are
// closed. When ctx ends first, the rest is cut off. It may be called once.
func (a *App) Stop(ctx context.Context) error {
	var serverErr, riverErr error
	var stopping sync.WaitGroup
	stopping.Go(func() { serverErr = a.stopServer(ctx) })
	stopping.Go(func() { riverErr = a.stopWorkers(ctx) })
	stopping.Wait()
	a.leaveID()
	a.stopUI()
	a.stopWatching() // a server that has served has done so
	a.served.Wait()
	for _, pool := range []*pgxpool.Pool{a.riverDB, a.leaseDB, a.pool} {
		if pool != nil {
			closePool(ctx, pool, a.opts.Log)
		}
	}
	return errors.Join(serverErr, riverErr)
}

// closePool doesn't wait for a connection that somebody still holds when time is
// up: the process is about to end.
func closePool(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
	case <-ctx.Done():
		log.WarnContext(ctx, "connections are still in use", slog.Int("count", int(pool.Stat().AcquiredConns())))
	}
}
