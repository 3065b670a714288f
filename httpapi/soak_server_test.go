package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

// The environment of a server that a test runs as a process of its own.
const (
	serverSchema   = "HTTPAPI_TEST_SCHEMA"
	serverDatabase = "HTTPAPI_TEST_DATABASE"
)

// serveHere serves the API on the listener that was handed over, until SIGTERM.
func serveHere() error {
	debug.SetGCPercent(50) // as backupd serve does
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	pool, err := pgxpool.New(ctx, os.Getenv(serverDatabase))
	if err != nil {
		return err
	}
	defer pool.Close()
	client, err := backup.New(&backup.Config{Pool: pool, Schema: os.Getenv(serverSchema), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	w, err := client.NewWatcher(nil)
	if err != nil {
		return err
	}
	handler, err := httpapi.NewHandler(client, &httpapi.Options{Watcher: w})
	if err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	server := &http.Server{Handler: handler, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	server.RegisterOnShutdown(stopWatching)
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(watching) })
	running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	<-ctx.Done()
	ending, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	err = server.Shutdown(ending)
	running.Wait()
	return err
}
