package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	healthPath = "/healthz"
	readyPath  = "/readyz"

	// readyPatience bounds each check, and readyFor is how long a result of the
	// store's check stands: it writes, and probes come every few seconds.
	readyPatience = 5 * time.Second
	readyFor      = 10 * time.Second
)

// health answers the probes of whoever runs the process.
type health struct {
	client *backup.Client
	log    *slog.Logger

	mu       sync.Mutex // held while the store is checked, so that one check runs at a time
	checked  time.Time
	storeErr error
}

// alive says that the process answers. It looks at nothing else: restarting the
// process mends neither the database nor the store.
func (h *health) alive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

type readiness struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks"`
}

// ready says whether requests can be served and work can be done.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyPatience)
	defer cancel()
	res := readiness{Status: "ready", Checks: map[string]string{}}
	check := func(name string, err error) {
		res.Checks[name] = "ok"
		if err != nil {
			// The reason may name hosts and users: it is for the log.
			res.Checks[name], res.Status = "failed", "unavailable"
			h.log.WarnContext(ctx, "not ready", slog.String("check", name), slog.Any("error", err))
		}
	}
	check("database", h.client.CheckDatabase(ctx))
	if h.client.Store() != nil {
		check("store", h.checkStore(ctx))
	}
	status := http.StatusOK
	if res.Status != "ready" {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	}
	writeJSON(w, status, res)
}

// checkStore keeps a result for a while. A check that the prober cut short is no
// result.
func (h *health) checkStore(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := now(); h.checked.IsZero() || t.Sub(h.checked) >= readyFor {
		err := h.client.Store().Check(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h.checked, h.storeErr = t, err
	}
	return h.storeErr
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", jsonContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone if it fails
}
