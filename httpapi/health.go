package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/migrations"
)

const (
	healthPath = "/healthz"
	readyPath  = "/readyz"

	// readyPatience bounds each check, which all run at once, and readyFor is how
	// long a result of the store's check stands: it writes, and probes come every
	// few seconds.
	readyPatience = 5 * time.Second
	readyFor      = 10 * time.Second
)

// health answers the probes of whoever runs the process.
type health struct {
	client   *backup.Client
	log      *slog.Logger
	patience time.Duration

	mu      sync.Mutex
	store   *storeCheck // the one that runs, or the last one
	checked time.Time   // when it began
}

// storeCheck is a check of the store, which several probes may wait for.
type storeCheck struct {
	done chan struct{}
	err  error // once done is closed
}

func newHealth(client *backup.Client, log *slog.Logger) *health {
	return &health{client: client, log: log, patience: readyPatience}
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

// ready says whether requests can be served and work can be done. Each check has
// its own deadline, so that one that hangs takes nothing from the others, and the
// prober gets its answer in time.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.patience)
	defer cancel()
	var database, migrated, store error
	var checks sync.WaitGroup
	checks.Go(func() { database, migrated = h.checkDatabase(ctx) })
	checks.Go(func() { store = h.checkStore(ctx) })
	checks.Wait()
	res := readiness{Status: "ready", Checks: map[string]string{}}
	note := func(name string, err error) {
		res.Checks[name] = "ok"
		if err != nil {
			// The reason may name hosts and users: it is for the log.
			res.Checks[name], res.Status = "failed", "unavailable"
			h.log.WarnContext(ctx, "not ready", slog.String("check", name), slog.Any("error", err))
		}
	}
	note("database", database)
	if database == nil {
		note("migrations", migrated)
	}
	if h.client.Store() != nil {
		note("store", store)
	}
	status := http.StatusOK
	if res.Status != "ready" {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	}
	writeJSON(w, status, res)
}

// checkDatabase tells a database that can't be asked from one that answers, and
// isn't at the version that this release needs.
func (h *health) checkDatabase(ctx context.Context) (database, migrated error) {
	err := h.client.CheckDatabase(ctx)
	if errors.Is(err, migrations.ErrPending) {
		return nil, err
	}
	return err, nil
}

// checkStore lets one check run at a time, whoever asks, and keeps its result for
// a while. A prober that gives up doesn't end it: one that comes later waits for
// the same.
func (h *health) checkStore(ctx context.Context) error {
	if h.client.Store() == nil {
		return nil
	}
	c := h.currentCheck(ctx)
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return fmt.Errorf("the store has not answered in %s: %w", h.patience, context.Cause(ctx))
	}
}

func (h *health) currentCheck(ctx context.Context) *storeCheck {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.store != nil {
		select {
		case <-h.store.done:
			if now().Sub(h.checked) < readyFor {
				return h.store
			}
		default:
			return h.store
		}
	}
	c := &storeCheck{done: make(chan struct{})}
	h.store, h.checked = c, now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.patience)
	go func() {
		defer close(c.done)
		defer cancel()
		c.err = h.client.Store().Check(ctx)
	}()
	return c
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", jsonContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone if it fails
}
