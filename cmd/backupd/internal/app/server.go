package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"riverqueue.com/riverui"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

const uiPath = "/riverui"

func (a *App) serve(ctx context.Context) error {
	if !a.opts.API {
		return a.serveProbes()
	}
	ui, err := a.dashboard(ctx)
	if err != nil {
		return err
	}
	watcher, stopWatching, err := a.watch(ctx)
	if err != nil {
		return err
	}
	opts := &httpapi.Options{
		Watcher: watcher,
		Logger:  a.opts.Log, Version: a.opts.Version, Hosts: allowedHosts(a.listener, a.file),
		Handlers: map[string]http.Handler{uiPath + "/": ui}, Collectors: a.collectors(),
		Streams: httpapi.Streams{Max: a.file.API.Streams.Max, MaxPerCaller: a.file.API.Streams.MaxPerCaller},
	}
	if err := a.askCallers(ctx, opts); err != nil {
		return err
	}
	handler, err := httpapi.NewHandler(a.Client, opts) //nolint:contextcheck // each request has a context of its own
	if err != nil {
		return err
	}
	a.makeServer(handler)
	// Only when nobody new is let in: the clients of event streams come again at
	// once, and are to find another server.
	a.server.RegisterOnShutdown(stopWatching)
	a.startServer()
	return nil
}

func (a *App) makeServer(handler http.Handler) {
	a.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.opts.Log.Handler(), slog.LevelWarn),
	}
}

func (a *App) startServer() {
	a.served.Go(func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("serve HTTP: %w", err)
		}
	})
}

// watch tells the API's clients of events until the server stops.
func (a *App) watch(ctx context.Context) (*backup.Watcher, context.CancelFunc, error) {
	watcher, err := a.Client.NewWatcher(nil)
	if err != nil {
		return nil, nil, fmt.Errorf("make watcher: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stopWatching = stop
	a.served.Go(func() {
		if err := watcher.Run(running); err != nil {
			a.opts.Log.ErrorContext(running, "the watcher has ended", slog.Any("error", err))
		}
	})
	return watcher, stop, nil
}

// askCallers has callers asked who they are, if any credentials are configured,
// and else says that nobody is.
func (a *App) askCallers(ctx context.Context, opts *httpapi.Options) error {
	callers, err := a.file.API.Callers()
	if err != nil {
		return err
	}
	if callers != nil {
		opts.Authorize, opts.AuthorizeHandlers = callers.Authorize, callers.AuthorizeBasic
		limit := &a.file.API.RateLimit
		opts.RateLimit = httpapi.RateLimit{PerSecond: float64(limit.PerSecond), Burst: limit.Burst, FailuresPerMinute: limit.FailuresPerMinute}
		return nil
	}
	const text = "no credentials are configured: nobody is asked who they are"
	address := slog.String("address", a.listener.Addr().String())
	if a.file.Server.InsecureListen {
		a.opts.Log.WarnContext(ctx, text+", and whoever reaches the address may do everything", address)
	} else {
		a.opts.Log.InfoContext(ctx, text+", and only this machine is answered", address)
	}
	return nil
}

// dashboard is River UI. It asks for no credential itself, and changes jobs: the
// API's handler lets nobody pass who may not do that.
func (a *App) dashboard(ctx context.Context) (http.Handler, error) {
	// A client that works no jobs, on the API's pool: the dashboard must neither
	// need the workers nor take their connections.
	client, err := river.NewClient(riverpgxv5.New(a.pool), &river.Config{Schema: a.file.Database.Schema, Logger: a.opts.Log})
	if err != nil {
		return nil, fmt.Errorf("make River client: %w", err)
	}
	ui, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(client, nil), Logger: a.opts.Log, Prefix: uiPath,
	})
	if err != nil {
		return nil, fmt.Errorf("make River UI: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stopUI = stop
	if err := ui.Start(running); err != nil {
		return nil, fmt.Errorf("start River UI: %w", err)
	}
	return http.MaxBytesHandler(ui, maxDashboardBody), nil
}

func (a *App) stopServer(ctx context.Context) error {
	if a.server == nil {
		if a.listener == nil {
			return nil
		}
		return a.listener.Close()
	}
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("answer the last requests: %w", err), a.server.Close())
	}
	return nil
}
