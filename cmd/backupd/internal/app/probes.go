package app

import (
	"context"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sitebackup/sitebackup/httpapi"
)

// listenForProbes opens the address of the probes of a process without API. What is
// served there changes nothing and has no ids, so that any address is fine.
func (a *App) listenForProbes(ctx context.Context) (err error) {
	address := a.file.Probes.Listen
	if address == "" {
		return nil
	}
	if a.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address); err != nil {
		return fmt.Errorf("listen on %s for probes: %w", address, reason(err))
	}
	a.Probes = a.listener.Addr().String()
	return nil
}

func (a *App) serveProbes() error {
	if a.listener == nil {
		return nil
	}
	handler, err := httpapi.NewProbes(a.Client, &httpapi.Options{Logger: a.opts.Log, Version: a.opts.Version, Collectors: a.collectors()})
	if err != nil {
		return err
	}
	a.makeServer(handler)
	a.startServer()
	return nil
}

// collectors are the metrics of the workers, if this process has any.
func (a *App) collectors() []prometheus.Collector {
	if a.workers == nil {
		return nil
	}
	return []prometheus.Collector{newWorkerMetrics(a.workers.Stats)}
}
