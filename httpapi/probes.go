package httpapi

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sitebackup/sitebackup/backup"
)

// NewProbes returns a handler of /healthz, /readyz and /metrics alone, for a process
// that makes backups and serves no API. It asks nobody who they are: serve it on an
// address that only whoever runs the process reaches. The metrics are those of the
// process and of [Options.Collectors]; the counts over all backups, which each process
// would have to make anew, are in those of [NewHandler].
func NewProbes(client *backup.Client, opts *Options) (http.Handler, error) {
	o := opts.withDefaults(client.Logger())
	registry := prometheus.NewRegistry()
	if err := registerProcess(registry, &o); err != nil {
		return nil, err
	}
	h := newHealth(client, o.Logger)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+healthPath, h.alive)
	mux.HandleFunc("GET "+readyPath, h.ready)
	mux.Handle("GET "+metricsPath, serveMetrics(registry, o.Logger))
	return mux, nil
}
