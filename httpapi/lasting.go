package httpapi

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// lasting counts the answers that take as long as their clients like, and would
// say nothing about the server among the durations of requests.
type lasting struct{ events, polls, downloads atomic.Int64 }

// lasts counts one more answer of a kind until what it returns is called.
func lasts(ctx context.Context, kind *atomic.Int64) (end func()) {
	noteOf(ctx).lasting = true
	kind.Add(1)
	return func() { kind.Add(-1) }
}

// gauges are the counts as metrics.
func (l *lasting) gauges() (all []prometheus.Collector) {
	for kind, n := range map[string]*atomic.Int64{"events": &l.events, "longPoll": &l.polls, "download": &l.downloads} {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sitebackup_http_open_streams", Help: "Event streams, long polls and downloads that are being answered.",
			ConstLabels: prometheus.Labels{"kind": kind},
		}, func() float64 { return float64(n.Load()) }))
	}
	return all
}
