package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sitebackup/sitebackup/jobs"
)

// workerMetrics gives a Prometheus what the workers of this process have done.
type workerMetrics struct {
	stats func() jobs.Stats

	attempts, bytes, running, lost *prometheus.Desc
	inUse, budget, waiting         *prometheus.Desc
}

func newWorkerMetrics(stats func() jobs.Stats) *workerMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sitebackup_worker_"+name, help, labels, nil)
	}
	return &workerMetrics{
		stats:    stats,
		attempts: desc("attempts_total", "Attempts at exports that have ended, by outcome: done; permanent, retryable or retry_after, after which there is another; failed, which was the last; handed_over; lease_lost.", "provider", "outcome"),
		bytes:    desc("stored_bytes_total", "Bytes that the destination has taken, also of attempts that failed later.", "provider"),
		running:  desc("running_tasks", "Exports that are being made.", "provider"),
		lost:     desc("leases_lost_total", "Leases that were lost: this process was too slow, or cut off from the database."),
		inUse:    desc("buffer_bytes", "Memory in buffers that is in use."),
		budget:   desc("buffer_limit_bytes", "The most that buffers may take (workers.bufferBudget)."),
		waiting:  desc("buffer_waiting_uploads", "Uploads that wait for buffers."),
	}
}

// Describe names the metrics.
func (m *workerMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.attempts, m.bytes, m.running, m.lost, m.inUse, m.budget, m.waiting} {
		to <- d
	}
}

// Collect gives the counts of the moment.
func (m *workerMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.stats()
	counter := func(d *prometheus.Desc, value int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(d *prometheus.Desc, value int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	for of, n := range s.Attempts {
		counter(m.attempts, n, of.Provider, of.Outcome)
	}
	for provider, n := range s.StoredBytes {
		counter(m.bytes, n, provider)
	}
	for provider, n := range s.Running {
		gauge(m.running, n, provider)
	}
	counter(m.lost, s.LeasesLost)
	gauge(m.inUse, s.Buffers.InUse)
	gauge(m.budget, s.Buffers.Budget)
	gauge(m.waiting, int64(s.Buffers.Waiting))
}
