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

	"github.com/sitebackup/sitebackup/httpapi"
)

const uiPath = "/riverui"

func (a *App) serve(ctx context.Context) error {
	if !a.opts.API {
		return nil
	}
	ui, err := a.dashboard(ctx)
	if err != nil {
		return err
	}
	handler, err := httpapi.NewHandler(a.Client, &httpapi.Options{
		Logger: a.opts.Log, Version: a.opts.Version, Hosts: allowedHosts(a.listener, a.file.Server.BaseURL),
		Handlers: map[string]http.Handler{uiPath + "/": ui},
	})
	if err != nil {
		return err
	}
	a.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.opts.Log.Handler(), slog.LevelWarn),
	}
	a.served.Go(func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("serve HTTP: %w", err)
		}
	})
	return nil
}

// dashboard is River UI. It changes jobs without asking for a token, so a page
// of another site must not be able to send its requests.
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
	return http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(ui, maxDashboardBody)), nil
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
