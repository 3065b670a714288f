package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/sitebackup/sitebackup/backup"
)

// ticksMissed is how long no reconcile job may be made before each process warns, and
// how often it looks.
const ticksMissed = 5 * time.Minute

// ticksQuery bounds the look.
const ticksQuery = time.Second

// ticks warns when nobody makes the periodic jobs: River's leader does, and one that
// doesn't know them leaves everything periodic undone, without a word. It looks when a
// fetch of the control queue has found nothing, so that it holds up no job.
type ticks struct {
	river.HookDefaults
	w *Workers

	mu   sync.Mutex
	next time.Time // when it looks again; the first time when there has been time for a job
}

// MetricEmit is called behind each fetch of jobs.
func (t *ticks) MetricEmit(ctx context.Context, p *rivertype.HookMetricEmitParams) {
	m, ok := p.Metric.(*rivertype.JobGetAvailableCountMetric)
	if !ok || m.Queue != backup.QueueControl || m.Count > 0 || !t.due() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ticksQuery)
	defer cancel()
	ticking, leader, err := t.w.ledger.Ticking(ctx, ticksMissed)
	switch {
	case err != nil:
		t.w.cfg.Logger.WarnContext(ctx, "look for periodic jobs", "error", err)
	case !ticking:
		t.w.cfg.Logger.WarnContext(ctx, "no periodic job was made: schedules, retention and repairs stand still; does a River client that wasn't configured by jobs.Configure lead in this schema?",
			"for", ticksMissed, "schema", t.w.client.Schema(), "leader", leader)
	}
}

func (t *ticks) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := now()
	switch {
	case t.next.IsZero():
		t.next = at.Add(ticksMissed)
		return false
	case at.Before(t.next):
		return false
	}
	t.next = at.Add(ticksMissed)
	return true
}
