package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sitebackup/sitebackup/backup"
)

const metricsPath = "/metrics"

// metrics are what a server tells a Prometheus of itself. Labels have values from
// short lists only: no ids, no paths, no names of callers.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	streams  *prometheus.CounterVec // requests whose answers last
}

func newMetrics(client *backup.Client, open *lasting, o *Options) (*metrics, error) {
	m := &metrics{registry: prometheus.NewRegistry(), requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sitebackup_http_request_duration_seconds", Help: "Time from a request to the end of its answer, without event streams, long polls that wait, and downloads.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"operation", "status"}), streams: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sitebackup_http_streams_total", Help: "Event streams, long polls that waited, and downloads that have ended.",
	}, []string{"operation", "status"})}
	m.registry.MustRegister(open.gauges()...)
	m.registry.MustRegister(m.requests, m.streams, newStatsCollector(client, o.Logger))
	return m, registerProcess(m.registry, o)
}

// registerProcess adds what tells of a process, whatever it serves.
func registerProcess(registry *prometheus.Registry, o *Options) error {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sitebackup_build_info", Help: "Always 1: the labels are the release, and the Go that built it.",
		ConstLabels: prometheus.Labels{"version": o.Version, "goversion": runtime.Version()},
	})
	info.Set(1)
	for _, c := range append([]prometheus.Collector{
		info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, o.Collectors...) {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// observe counts a request that was answered.
func (m *metrics) observe(n *note, status int, took time.Duration) {
	if n.lasting {
		m.streams.WithLabelValues(cmp.Or(n.operation, "other"), strconv.Itoa(status)).Inc()
		return
	}
	m.requests.WithLabelValues(cmp.Or(n.operation, "other"), strconv.Itoa(status)).Observe(took.Seconds())
}

// handler serves them to callers with the scope read who may see all tenants: the
// counts are over all.
func (m *metrics) handler(g *guard, log *slog.Logger) http.Handler {
	serve := serveMetrics(m.registry, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, problem := g.admit(r, ScopeRead)
		if problem == nil && !caller.unlimited() {
			problem = g.forbidden(0, "The metrics are of all tenants, and this credential is for some.")
		}
		if problem != nil {
			problem.write(w, r)
			return
		}
		serve.ServeHTTP(w, r)
	})
}

func serveMetrics(registry *prometheus.Registry, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	})
}

const (
	// statsPatience bounds counting, and a scrape with it. statsFor is how long a
	// count stands at least; one that took long stands statsShare times that, so
	// that counting never keeps the database busy.
	statsPatience = 5 * time.Second
	statsFor      = 15 * time.Second
	statsShare    = 20
)

// statsCollector gives the counts of package backup.
type statsCollector struct {
	count func(context.Context) (*backup.Stats, error)
	fresh func(context.Context) (*backup.Freshness, error)
	log   *slog.Logger

	turn  chan struct{}     // holds a value while nobody counts; guards what follows
	last  *backup.Stats     // nil before the first count
	then  *backup.Freshness // nil before the first look
	at    time.Time         // of last
	next  time.Time         // when to count again
	up    float64           // whether the latest count worked
	descs statsDescs
}

type statsDescs struct {
	up, age, backups, tasks, bytes, jobs *prometheus.Desc
	oldest                               *prometheus.Desc
	schedules, overdue, success          *prometheus.Desc
}

func newStatsCollector(client *backup.Client, log *slog.Logger) *statsCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sitebackup_"+name, help, labels, nil)
	}
	// These names are the ones that alerts on backups are usually written for.
	plain := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("backup_"+name, help, labels, nil)
	}
	c := &statsCollector{count: client.Stats, fresh: client.Freshness, log: log, turn: make(chan struct{}, 1), descs: statsDescs{
		up:      desc("stats_up", "Whether the latest count of backups, tasks and jobs worked; without it the ones before stand."),
		age:     desc("stats_age_seconds", "Time since they were counted."),
		backups: desc("backups", "Backups by state.", "state"),
		tasks:   desc("tasks", "Tasks by state.", "state"),
		bytes:   desc("stored_bytes", "Bytes of all objects of done tasks."),
		oldest:  desc("oldest_open_backup_age_seconds", "Age of the oldest backup that has not ended; 0 if there is none."),
		jobs:    desc("river_jobs", "River jobs that have not ended, by queue and state.", "queue", "state"),

		schedules: plain("schedules", "Schedules by state: fresh, stale (its newest good backup is too old), alerting (that is known), unwatched (it has no maxAge); and paused, which are in the others, too.", "state"),
		overdue:   plain("schedules_overdue", "Schedules that have been due for five minutes, up to 10,000: nobody starts them, or nobody can."),
		success:   plain("last_success_timestamp_seconds", "When the newest good backup with a copy of the provider's was done.", "provider"),
	}}
	c.turn <- struct{}{}
	return c
}

// Describe names the metrics.
func (c *statsCollector) Describe(to chan<- *prometheus.Desc) {
	d := &c.descs
	for _, d := range []*prometheus.Desc{d.up, d.age, d.backups, d.tasks, d.bytes, d.oldest, d.jobs, d.schedules, d.overdue, d.success} {
		to <- d
	}
}

// Collect counts, unless the last count still stands. Scrapes that come meanwhile
// wait for it, as long as one count may take.
func (c *statsCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statsPatience)
	defer cancel()
	select {
	case <-c.turn:
	case <-ctx.Done():
		return // without these metrics
	}
	c.refresh(ctx)
	last, then, up, at := c.last, c.then, c.up, c.at
	c.turn <- struct{}{}

	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(c.descs.up, up)
	if then != nil {
		gauge(c.descs.overdue, float64(then.Overdue))
		for provider, at := range then.LastSuccess {
			gauge(c.descs.success, float64(at.UnixMilli())/1000, provider)
		}
	}
	if last == nil {
		return
	}
	gauge(c.descs.age, now().Sub(at).Seconds())
	gauge(c.descs.bytes, float64(last.StoredBytes))
	gauge(c.descs.oldest, last.OldestOpen.Seconds())
	for state, n := range last.Backups {
		gauge(c.descs.backups, float64(n), string(state))
	}
	for state, n := range last.Tasks {
		gauge(c.descs.tasks, float64(n), string(state))
	}
	for _, j := range last.Jobs {
		gauge(c.descs.jobs, float64(j.Jobs), j.Queue, j.State)
	}
	for state, n := range last.Schedules {
		gauge(c.descs.schedules, float64(n), string(state))
	}
	gauge(c.descs.schedules, float64(last.PausedSchedules), "paused")
}

func (c *statsCollector) refresh(ctx context.Context) {
	began := now()
	if began.Before(c.next) {
		return
	}
	// What alerts are about takes milliseconds, and doesn't depend on the counts, which
	// take longer than they may where there are many millions of rows.
	fresh, err := c.fresh(ctx)
	var stats *backup.Stats
	if err == nil {
		c.then = fresh
		stats, err = c.count(ctx)
	}
	took := now().Sub(began)
	c.next = began.Add(max(statsFor, statsShare*took))
	if err != nil {
		c.up = 0
		c.log.WarnContext(ctx, "backups could not be counted for the metrics", slog.Any("error", err))
		return
	}
	c.last, c.at, c.up = stats, began, 1
}
