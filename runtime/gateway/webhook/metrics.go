package webhook

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/runtime/gateway"
)

// Metrics count requests by webhook and by what became of them. The labels are
// names of the configuration: a client cannot make new ones. The nil Metrics
// counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	gateway  *gateway.Metrics
}

// NewMetrics makes the metrics and registers them with r. What is refused here
// is counted in those of the gateway too, which may be nil.
func NewMetrics(r prometheus.Registerer, of *gateway.Metrics) *Metrics {
	m := &Metrics{gateway: of, requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_webhook_requests_total",
		Help: "Requests to webhooks, by result: published, ignored (no condition held), unverified (signature), unmapped (the mapping does not fit), refused.",
	}, []string{"webhook", "result"})}
	r.MustRegister(m.requests)
	return m
}

func (m *Metrics) count(webhook, result string) {
	if m != nil {
		m.requests.WithLabelValues(webhook, result).Inc()
	}
}

func (m *Metrics) refused(reason gateway.Reason) {
	if m != nil {
		m.gateway.Refused(reason, 1)
	}
}
