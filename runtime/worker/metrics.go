package worker

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// Metrics are the Prometheus metrics of the workers of a process
// (docs/telemetry.md lists them). Labels are names of functions and steps, and
// words of ours, so that their number is bounded.
type Metrics struct {
	started    *prometheus.CounterVec
	runs       *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	startDelay *prometheus.HistogramVec
	inFlight   *prometheus.GaugeVec
	parked     *prometheus.CounterVec
	resumed    *prometheus.CounterVec
	attempts   *prometheus.HistogramVec
	waits      *prometheus.HistogramVec
	batch      *prometheus.HistogramVec
	commit     *prometheus.HistogramVec
	repeated   *prometheus.CounterVec
	recovered  *prometheus.CounterVec
	poisoned   *prometheus.CounterVec
	fenced     *prometheus.CounterVec
}

// Buckets, in seconds: what a computer does, and what people let runs wait for.
var (
	quick = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	slow  = []float64{.005, .025, .1, .5, 1, 5, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600}
	// trips are round trips to Redis.
	trips = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	sizes = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
)

// NewMetrics makes the metrics and registers them with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	function := []string{"function"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(function, labels...))
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, append(function, labels...))
		r.MustRegister(h)
		return h
	}
	m := &Metrics{
		started:    counter("wildout_runs_started_total", "Runs that began."),
		runs:       counter("wildout_runs_total", "Runs that ended, by how: succeeded, failed, cancelled, rejected, dropped, duplicate.", "status"),
		latency:    histogram("wildout_run_latency_seconds", "From the publishing of the event to the end of the run, waiting included.", slow),
		startDelay: histogram("wildout_run_start_delay_seconds", "From the publishing of the event to the beginning of the run.", slow),
		parked:     counter("wildout_runs_parked_total", "Times that a run was put aside to wait."),
		resumed:    counter("wildout_runs_resumed_total", "Times that a run that was put aside was taken up again."),
		attempts: histogram("wildout_step_attempt_duration_seconds",
			"Duration of the attempts of steps, by how they ended: ok, failed, retry, snoozed, parked, interrupted.", quick, "step", "result"),
		waits: histogram("wildout_wait_seconds",
			"Time that runs spent waiting, by for what: sleep, waitForEvent, invoke, retry, snooze, rate, concurrency.", slow, "kind"),
		batch:     histogram("wildout_commit_batch_operations", "Writes that went to Redis in one batch.", sizes),
		commit:    histogram("wildout_commit_duration_seconds", "Time that Redis took for a batch of writes.", trips),
		repeated:  counter("wildout_commit_repeated_total", "Writes that Redis did not take and that were sent again."),
		recovered: counter("wildout_entries_recovered_total", "Entries taken over from dead runners."),
		poisoned:  counter("wildout_runs_poisoned_total", "Runs that were failed since no runner lived to finish them."),
		fenced:    counter("wildout_runner_fenced_total", "Times that this runner lost its lease."),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "wildout_runs_in_flight",
			Help: "Runs that this runner is working on."}, function),
	}
	r.MustRegister(m.inFlight)
	return m
}

// Kinds of waits that the engine does not know, in the label kind of
// wildout_wait_seconds beside those of its steps.
const (
	waitRetry       = "retry"
	waitSnooze      = "snooze"
	waitRate        = "rate"
	waitConcurrency = "concurrency"
)

// waitKinds are the values of the label kind of wildout_wait_seconds.
func waitKinds() []string {
	kinds := []string{waitRetry, waitSnooze, waitRate, waitConcurrency}
	for _, kind := range plan.Kinds() {
		if kind.Waits() {
			kinds = append(kinds, string(kind))
		}
	}
	return kinds
}

// endings are the statuses in wildout_runs_total. All are there from the start:
// a rate over a counter sees its first count only if it was there before.
var endings = []run.Status{run.Succeeded, run.Failed, run.Cancelled, run.Rejected, dropped, duplicate}

const (
	dropped   run.Status = "dropped"
	duplicate run.Status = "duplicate"
)

// functionMetrics are the Metrics of one function, looked up once: a lookup by
// labels costs more than the count.
type functionMetrics struct {
	all                      *Metrics
	function                 string
	started, parked, resumed prometheus.Counter
	repeated, recovered      prometheus.Counter
	poisoned, fenced         prometheus.Counter
	latency, startDelay      prometheus.Observer
	batch, commit            prometheus.Observer
	inFlight                 prometheus.Gauge
	ended                    map[run.Status]prometheus.Counter
	waits                    map[string]prometheus.Observer
	mu                       sync.RWMutex
	steps                    map[stepLabels]prometheus.Observer // guarded by mu
}

type stepLabels struct {
	step   string
	result engine.AttemptResult
}

func (m *Metrics) of(function string) *functionMetrics {
	f := &functionMetrics{all: m, function: function,
		started: m.started.WithLabelValues(function), parked: m.parked.WithLabelValues(function), resumed: m.resumed.WithLabelValues(function),
		repeated: m.repeated.WithLabelValues(function), recovered: m.recovered.WithLabelValues(function),
		poisoned: m.poisoned.WithLabelValues(function), fenced: m.fenced.WithLabelValues(function),
		latency: m.latency.WithLabelValues(function), startDelay: m.startDelay.WithLabelValues(function),
		batch: m.batch.WithLabelValues(function), commit: m.commit.WithLabelValues(function),
		inFlight: m.inFlight.WithLabelValues(function),
		ended:    map[run.Status]prometheus.Counter{}, waits: map[string]prometheus.Observer{}, steps: map[stepLabels]prometheus.Observer{}}
	for _, status := range endings {
		f.ended[status] = m.runs.WithLabelValues(function, string(status))
	}
	for _, kind := range waitKinds() {
		f.waits[kind] = m.waits.WithLabelValues(function, kind)
	}
	return f
}

// attempt counts an attempt of a step. trace is its trace id, or empty.
func (f *functionMetrics) attempt(a *engine.Attempt, trace string) {
	key := stepLabels{a.Step, a.Result}
	f.mu.RLock()
	observer, known := f.steps[key]
	f.mu.RUnlock()
	if !known {
		observer = f.all.attempts.WithLabelValues(f.function, a.Step, string(a.Result))
		f.mu.Lock()
		f.steps[key] = observer
		f.mu.Unlock()
	}
	observe(observer, a.Ended.Sub(a.Start), trace)
	switch a.Result {
	case engine.AttemptRetry:
		f.waited(waitRetry, a.Wait)
	case engine.AttemptSnoozed:
		f.waited(waitSnooze, a.Wait)
	}
}

// waited counts a wait, unless its kind is none.
func (f *functionMetrics) waited(kind string, d time.Duration) {
	if wait := f.waits[kind]; wait != nil {
		wait.Observe(max(0, d).Seconds())
	}
}

// committed counts a batch of writes.
func (f *functionMetrics) committed(operations, repeat int, took time.Duration) {
	f.batch.Observe(float64(operations))
	f.commit.Observe(took.Seconds())
	if repeat > 0 {
		f.repeated.Add(float64(repeat))
	}
}

// observe observes a duration, with the trace where one can be looked at.
func observe(o prometheus.Observer, d time.Duration, trace string) {
	seconds := max(0, d).Seconds()
	if trace != "" {
		if e, ok := o.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": trace})
			return
		}
	}
	o.Observe(seconds)
}
