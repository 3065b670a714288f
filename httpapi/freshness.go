package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	freshnessPath = "/freshness"

	// freshnessFor is how long what was read stands: anybody may ask. One that took
	// long stands statsShare times that.
	freshnessFor = 10 * time.Second
)

// freshness answers whoever watches that backups are made: a probe that is to be
// alarmed when it isn't told so any more.
type freshness struct {
	read  func(context.Context) (*backup.Freshness, error)
	guard *guard
	log   *slog.Logger

	turn chan struct{} // holds a value while nobody reads; guards what follows
	last *backup.Freshness
	err  error
	next time.Time // when to read again
}

func newFreshness(client *backup.Client, g *guard, log *slog.Logger) *freshness {
	f := &freshness{read: client.Freshness, guard: g, log: log, turn: make(chan struct{}, 1)}
	f.turn <- struct{}{}
	return f
}

// freshnessView is told to everybody as far as its status, and in full to callers with
// the scope read who may see all tenants: the counts are over all.
type freshnessView struct {
	Status string `json:"status"`
	*freshnessCounts
}

type freshnessCounts struct {
	Overdue     int                  `json:"overdue"`
	Unchecked   int                  `json:"unchecked"`
	Stale       int                  `json:"stale"`
	Alerting    int                  `json:"alerting"`
	LastSuccess map[string]time.Time `json:"lastSuccess"`
}

// onlyScheduler is the value of the parameter "only" that leaves out whether backups are
// too old: one of them may be so for days, and would hide that nobody ticks any more.
const onlyScheduler = "scheduler"

// ServeHTTP answers 200 while every schedule is ticked and none's backups are too old,
// and 503 otherwise, or if that can't be read.
func (f *freshness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	only := r.URL.Query().Get("only")
	if only != "" && only != onlyScheduler {
		validationProblem(FieldError{Location: "query.only", Message: "must be " + onlyScheduler}).write(w, r)
		return
	}
	last, err := f.current(r.Context())
	view, status := freshnessView{Status: "ok"}, http.StatusOK
	healthy := err == nil && (last.Healthy || only == onlyScheduler && last.Overdue+last.Unchecked == 0)
	if !healthy {
		view.Status, status = "not ok", http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "60")
	}
	if err == nil && f.seesAll(r) {
		view.freshnessCounts = &freshnessCounts{last.Overdue, last.Unchecked, last.Stale, last.Alerting, last.LastSuccess}
	}
	writeJSON(w, status, view)
}

// seesAll doesn't count a probe without a credential as one that has failed to be
// admitted.
func (f *freshness) seesAll(r *http.Request) bool {
	if f.guard.authorize != nil && r.Header.Get("Authorization") == "" {
		return false
	}
	caller, problem := f.guard.admit(r, ScopeRead)
	return problem == nil && caller.unlimited()
}

// current reads, unless what was read still stands. Probes that come meanwhile wait for
// that, as long as it may take.
func (f *freshness) current(ctx context.Context) (*backup.Freshness, error) {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	select {
	case <-f.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { f.turn <- struct{}{} }()
	began := now()
	if began.Before(f.next) {
		return f.last, f.err
	}
	// A prober that gives up doesn't end it: its result is for others, too.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), readyPatience)
	defer cancel()
	f.last, f.err = f.read(ctx)
	f.next = began.Add(max(freshnessFor, statsShare*now().Sub(began)))
	switch {
	case f.err != nil: // the reason may name hosts and users: it is for the log
		f.log.WarnContext(ctx, "freshness could not be read", slog.Any("error", f.err))
	case !f.last.Healthy:
		f.log.WarnContext(ctx, "backups are not fresh", slog.Int("overdue", f.last.Overdue), slog.Int("unchecked", f.last.Unchecked),
			slog.Int("stale", f.last.Stale), slog.Int("alerting", f.last.Alerting))
	}
	return f.last, f.err
}
