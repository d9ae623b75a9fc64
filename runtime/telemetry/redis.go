package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/runtime/store"
)

// redisTraffic exports what a Store counts by itself.
type redisTraffic struct {
	store                        *store.Conn
	commands, roundTrips, errors *prometheus.Desc
}

// NewRedisTraffic returns a collector of the commands, round trips and errors
// of a Store. It asks Redis nothing.
func NewRedisTraffic(s *store.Conn) prometheus.Collector {
	return &redisTraffic{store: s,
		commands:   prometheus.NewDesc("wildout_redis_commands_total", "Commands that were sent to Redis; a script is one.", nil, nil),
		roundTrips: prometheus.NewDesc("wildout_redis_round_trips_total", "Requests to Redis that waited for an answer; a pipeline is one.", nil, nil),
		errors:     prometheus.NewDesc("wildout_redis_errors_total", "Round trips that failed, by kind: network, timeout, refused, denied, answer.", []string{"kind"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (r *redisTraffic) Describe(ch chan<- *prometheus.Desc) {
	ch <- r.commands
	ch <- r.roundTrips
	ch <- r.errors
}

// Collect implements prometheus.Collector.
func (r *redisTraffic) Collect(ch chan<- prometheus.Metric) {
	t := r.store.Traffic()
	ch <- prometheus.MustNewConstMetric(r.commands, prometheus.CounterValue, float64(t.Commands))
	ch <- prometheus.MustNewConstMetric(r.roundTrips, prometheus.CounterValue, float64(t.RoundTrips))
	for kind, n := range t.Errors {
		ch <- prometheus.MustNewConstMetric(r.errors, prometheus.CounterValue, float64(n), string(kind))
	}
}
