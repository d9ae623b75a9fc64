package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the Prometheus metrics of a gateway. Their labels are routes of
// the program, names of its configuration and statuses: a client cannot make
// new ones. The nil Metrics counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	accepted *prometheus.CounterVec
	refused  *prometheus.CounterVec
	publish  *prometheus.HistogramVec
	busy     prometheus.Gauge
}

// Reason says why events were refused: the label reason of
// wildout_gateway_events_refused_total.
type Reason string

// The reasons for which a gateway refuses.
const (
	// RefusedKey: the sender could not be told, or its key or signature is wrong.
	RefusedKey Reason = "unauthenticated"
	// RefusedType: the sender may not send events of this type.
	RefusedType Reason = "forbidden"
	// RefusedForm: the request is no event in the form of its route, or too large.
	RefusedForm Reason = "malformed"
	// RefusedSchema: the data does not fit the schema of its event type.
	RefusedSchema Reason = "schema"
	// RefusedRate: the sender is over its rate.
	RefusedRate Reason = "rate"
	// RefusedLoad: Redis is nearly full, or the gateway has too much to do.
	RefusedLoad Reason = "overload"
	// RefusedStore: Redis did not take the events.
	RefusedStore Reason = "store"
)

// NewMetrics makes the metrics and registers them with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_gateway_requests_total",
			Help: "Requests that were answered."}, []string{"route", "code", "sender"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wildout_gateway_request_duration_seconds",
			Help: "From the header of a request to the end of its answer.", Buckets: buckets}, []string{"route"}),
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_gateway_events_accepted_total",
			Help: "Events that Redis has and whose sender was told so."}, []string{"sender"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_gateway_events_refused_total",
			Help: "Events that were not published, by why; a request that could not be read counts as one."}, []string{"reason"}),
		publish: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wildout_gateway_publish_duration_seconds",
			Help: "Time that Redis took for the events of one request.", Buckets: buckets}, []string{"status"}),
		busy: prometheus.NewGauge(prometheus.GaugeOpts{Name: "wildout_gateway_requests_in_flight",
			Help: "Requests that are being answered."}),
	}
	r.MustRegister(m.requests, m.duration, m.accepted, m.refused, m.publish, m.busy)
	for _, reason := range []Reason{RefusedKey, RefusedType, RefusedForm, RefusedSchema, RefusedRate, RefusedLoad, RefusedStore} {
		m.refused.WithLabelValues(string(reason)) // there from the start: an alert sees the first one
	}
	return m
}

type senderKey struct{}

// NoteSender says who sent the request of ctx, for its metrics. name is that of
// the configuration, never something that the client chose. Outside Instrument
// it does nothing.
func NoteSender(ctx context.Context, name string) {
	if sender, ok := ctx.Value(senderKey{}).(*string); ok {
		*sender = name
	}
}

// Instrument counts the requests of a route, such as inngest, cloudevents or
// webhook: a name of the program, not a path with something of the client in it.
func (m *Metrics) Instrument(route string, next http.Handler) http.Handler {
	if m == nil {
		return next
	}
	duration := m.duration.WithLabelValues(route)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, sender, noted := time.Now(), "", &statusWriter{ResponseWriter: w}
		m.busy.Inc()
		defer func() {
			m.busy.Dec()
			duration.Observe(time.Since(began).Seconds())
			m.requests.WithLabelValues(route, strconv.Itoa(noted.code()), sender).Inc()
		}()
		next.ServeHTTP(noted, r.WithContext(context.WithValue(r.Context(), senderKey{}, &sender)))
	})
}

// Accepted counts events of a sender (a name of the configuration) that Redis
// has taken.
func (m *Metrics) Accepted(sender string, events int) {
	if m != nil {
		m.accepted.WithLabelValues(sender).Add(float64(events))
	}
}

// Refused counts events that were not published; at least one.
func (m *Metrics) Refused(reason Reason, events int) {
	if m != nil {
		m.refused.WithLabelValues(string(reason)).Add(float64(max(1, events)))
	}
}

// Published measures one call of the Publisher. A request whose client left is
// no fault of Redis.
func (m *Metrics) Published(took time.Duration, err error) {
	if m == nil {
		return
	}
	status := "ok"
	switch {
	case errors.Is(err, context.Canceled):
		status = "canceled"
	case err != nil:
		status = "failed"
	}
	m.publish.WithLabelValues(status).Observe(took.Seconds())
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // not 100 Continue and its like
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
