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

	// readyPatience bounds each check, which all run at once. Anybody may ask, so a
	// result stands for a while: that of the store's check for longer, since it writes.
	readyPatience = 5 * time.Second
	databaseFor   = time.Second
	storeFor      = 10 * time.Second
)

// health answers the probes of whoever runs the process.
type health struct {
	client   *backup.Client
	log      *slog.Logger
	patience time.Duration
	database *sharedCheck
	store    *sharedCheck
}

// sharedCheck is a check that several probes may wait for, and whose result stands for
// a while.
type sharedCheck struct {
	run    func(context.Context) error
	name   string // of what it asks
	stands time.Duration

	mu    sync.Mutex
	last  *checkRun // the one that runs, or the last one
	began time.Time // when it did
}

type checkRun struct {
	done chan struct{}
	err  error // once done is closed
}

func newHealth(client *backup.Client, log *slog.Logger) *health {
	h := &health{client: client, log: log, patience: readyPatience}
	h.database = &sharedCheck{run: client.CheckDatabase, name: "the database", stands: databaseFor}
	if store := client.Store(); store != nil {
		h.store = &sharedCheck{run: store.Check, name: "the store", stands: storeFor}
	}
	return h
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
	if h.store != nil {
		checks.Go(func() { store = h.store.result(ctx, h.patience) })
	}
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
	if h.store != nil {
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
	err := h.database.result(ctx, h.patience)
	if errors.Is(err, migrations.ErrPending) {
		return nil, err
	}
	return err, nil
}

// result lets one check run at a time, whoever asks, and keeps what it says for a
// while. A prober that gives up doesn't end it: one that comes later waits for the same.
func (c *sharedCheck) result(ctx context.Context, patience time.Duration) error {
	run := c.current(ctx, patience)
	select {
	case <-run.done:
		return run.err
	case <-ctx.Done():
		return fmt.Errorf("%s has not answered in %s: %w", c.name, patience, context.Cause(ctx))
	}
}

func (c *sharedCheck) current(ctx context.Context, patience time.Duration) *checkRun {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil {
		select {
		case <-c.last.done:
			if now().Sub(c.began) < c.stands {
				return c.last
			}
		default:
			return c.last
		}
	}
	run := &checkRun{done: make(chan struct{})}
	c.last, c.began = run, now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	go func() {
		defer close(run.done)
		defer cancel()
		run.err = c.run(ctx)
	}()
	return run
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", jsonContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone if it fails
}
