package worker

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/store"
)

// Metrics are the Prometheus metrics of the workers of a process. Labels are
// names of functions and steps, so that their number is bounded.
type Metrics struct {
	runs      *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	steps     *prometheus.HistogramVec
	attempts  *prometheus.CounterVec
	inFlight  *prometheus.GaugeVec
	parked    *prometheus.CounterVec
	recovered *prometheus.CounterVec
	fenced    *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	m := &Metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_runs_total",
			Help: "Runs that ended, by how: succeeded, failed, rejected, dropped, duplicate."}, []string{"function", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wildout_run_latency_seconds",
			Help: "From the publishing of the event to the end of the run, waiting included.", Buckets: buckets}, []string{"function"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wildout_step_duration_seconds",
			Help: "Duration of the last attempt of a step.", Buckets: buckets}, []string{"function", "step", "status"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_step_attempts_total",
			Help: "Attempts of steps that ended."}, []string{"function", "step"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "wildout_runs_in_flight",
			Help: "Runs that this runner is working on."}, []string{"function"}),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_runs_parked_total",
			Help: "Times that a run was put aside to wait."}, []string{"function"}),
		recovered: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_entries_recovered_total",
			Help: "Entries taken over from dead runners."}, []string{"function"}),
		fenced: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_runner_fenced_total",
			Help: "Times that this runner lost its lease."}, []string{"function"}),
	}
	r.MustRegister(m.runs, m.latency, m.steps, m.attempts, m.inFlight, m.parked, m.recovered, m.fenced)
	return m
}

// functionMetrics are the Metrics of one function, looked up once: a lookup by
// labels costs more than the count.
type functionMetrics struct {
	all      *Metrics
	function string
	latency  prometheus.Observer
	ok       prometheus.Counter
	failed   prometheus.Counter
	inFlight prometheus.Gauge
	parked   prometheus.Counter
	mu       sync.Mutex
	steps    map[stepLabels]stepMetrics
}

type stepLabels struct {
	step   string
	status engine.Status
}

type stepMetrics struct {
	duration prometheus.Observer
	attempts prometheus.Counter
}

func (m *Metrics) of(function string) *functionMetrics {
	return &functionMetrics{all: m, function: function,
		latency: m.latency.WithLabelValues(function), inFlight: m.inFlight.WithLabelValues(function), parked: m.parked.WithLabelValues(function),
		ok: m.runs.WithLabelValues(function, string(store.Succeeded)), failed: m.runs.WithLabelValues(function, string(store.Failed)),
		steps: map[stepLabels]stepMetrics{}}
}

func (f *functionMetrics) step(name string, status engine.Status) stepMetrics {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := stepLabels{name, status}
	m, known := f.steps[key]
	if !known {
		m = stepMetrics{f.all.steps.WithLabelValues(f.function, name, string(status)), f.all.attempts.WithLabelValues(f.function, name)}
		f.steps[key] = m
	}
	return m
}

// report counts and logs a run that has ended.
func (s *session) report(r *store.Record, out engine.Outcome, latency time.Duration) {
	ended := s.metrics.ok
	if r.Status == store.Failed {
		ended = s.metrics.failed
	}
	ended.Inc()
	s.metrics.latency.Observe(latency.Seconds())
	for _, step := range out.Steps {
		if step.Status == engine.StatusOK || step.Status == engine.StatusFailed {
			m := s.metrics.step(step.Name, step.Status)
			m.duration.Observe(step.Duration.Seconds())
			m.attempts.Add(float64(step.Attempts))
		}
	}
	level := slog.LevelInfo
	if r.Status == store.Failed {
		level = slog.LevelError
	}
	if !s.log.Enabled(background, level) {
		return
	}
	attrs := []any{"run", r.ID, "event", r.EventID, "type", r.EventType, "duration", r.EndedAt.Sub(r.StartedAt).Round(time.Millisecond)}
	if r.Status == store.Failed {
		attrs = append(attrs, "step", r.ErrorStep, "error", r.Error)
	}
	s.log.Log(background, level, "run "+string(r.Status), attrs...)
}
