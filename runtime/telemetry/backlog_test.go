package telemetry_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/telemetry"
)

// family is a metric with all its series.
type family = dto.MetricFamily

// backlogOf exports the backlog of functions (none: of all) without a runner of
// them, as the gateway does.
func backlogOf(t *testing.T, r *rig, functions ...string) *prometheus.Registry {
	t.Helper()
	metrics := prometheus.NewRegistry()
	b, err := telemetry.NewBacklog(metrics, telemetry.BacklogOptions{Store: r.store, Functions: functions, Period: 50 * time.Millisecond, Logger: r.logger()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return metrics
}

// value returns the sum of the series of a metric that have these labels, in
// pairs of name and value; of a histogram its count. false: there is none.
func value(t *testing.T, g prometheus.Gatherer, name string, labels ...string) (sum float64, found bool) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if !matches(m, labels) {
				continue
			}
			found = true
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum, found
}

func matches(m *dto.Metric, labels []string) bool {
	has := map[string]string{}
	for _, l := range m.GetLabel() {
		has[l.GetName()] = l.GetValue()
	}
	for i := 0; i+1 < len(labels); i += 2 {
		if has[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

func awaitValue(t *testing.T, g prometheus.Gatherer, want float64, name string, labels ...string) {
	t.Helper()
	got, found := 0.0, false
	defer func() {
		if t.Failed() {
			t.Logf("%s%v is %v, %v", name, labels, got, found)
		}
	}()
	eventually(t, 30*time.Second, name, func() bool {
		got, found = value(t, g, name, labels...)
		return found && got == want
	})
}

func TestBacklog(t *testing.T) {
	r := newRig(t)
	spec := `
    triggers: [{event: a}]
    steps: [{name: nap, sleep: 1h}, {name: hear, waitForEvent: {event: b, timeout: 1h}}]`
	one := r.start("one", "f", spec)
	other := r.start("one", "g", "triggers: [{event: c}]\nsteps: [{name: s, handler: ok}]")
	all := backlogOf(t, r)
	awaitValue(t, all, 1, "wildout_runners", "function", "f")
	awaitValue(t, all, 0, "wildout_backlog", "function", "f", "kind", "unread")
	r.send(event.Event{Type: "a"})
	awaitValue(t, all, 1, "wildout_runs_parked", "function", "f")
	awaitValue(t, one.metrics, 1, "wildout_runs_parked", "function", "f")
	if _, found := value(t, one.metrics, "wildout_runners", "function", "g"); found {
		t.Error("a runner of f exports the backlog of g")
	}
	one.stop()
	other.stop()
	awaitValue(t, all, 0, "wildout_runners", "function", "f")
	for _, eventType := range []string{"a", "a", "b"} {
		r.send(event.Event{Type: eventType})
	}
	awaitValue(t, all, 3, "wildout_backlog", "function", "f", "kind", "unread")
	awaitValue(t, all, 0, "wildout_backlog", "function", "g", "kind", "unread")
	first, _ := value(t, all, "wildout_backlog_oldest_seconds", "function", "f", "kind", "unread")
	time.Sleep(200 * time.Millisecond)
	if later, _ := value(t, all, "wildout_backlog_oldest_seconds", "function", "f", "kind", "unread"); later <= first {
		t.Errorf("the age of the oldest went from %v to %v", first, later)
	}
	r.redis.Stop()
	eventually(t, 30*time.Second, "end of figures without Redis", func() bool {
		_, found := value(t, all, "wildout_backlog")
		return !found
	})
}

// What waits is counted over all functions: the event that two functions read
// waits twice, what a step waits for as well, and what is read does not.
func TestTotalBacklog(t *testing.T) {
	r := newRig(t)
	total := func() int64 {
		t.Helper()
		n, err := telemetry.TotalBacklog(t.Context(), r.store)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := total(); n != 0 {
		t.Errorf("backlog %d without a function", n)
	}
	all := backlogOf(t, r)
	one := r.start("one", "f", "triggers: [{event: a}]\nsteps: [{name: hear, waitForEvent: {event: b, timeout: 1h}}]")
	other := r.start("one", "g", "triggers: [{event: a}, {event: c}]\nsteps: [{name: s, handler: ok}]")
	awaitValue(t, all, 1, "wildout_runners", "function", "f")
	awaitValue(t, all, 1, "wildout_runners", "function", "g")
	r.send(event.Event{Type: "c"})
	r.ended("g", 1)
	one.stop()
	other.stop()
	if n := total(); n != 0 {
		t.Errorf("backlog %d when all was read", n)
	}
	for _, eventType := range []string{"a", "b", "c", "nobody's"} {
		r.send(event.Event{Type: eventType})
	}
	if n := total(); n != 4 {
		t.Errorf("backlog %d, want 4: a waits for f and for g, b for f, c for g", n)
	}
	r.redis.Stop()
	if _, err := telemetry.TotalBacklog(t.Context(), r.store); err == nil {
		t.Error("without Redis nothing waits")
	}
}

// A run is counted once, on whatever runner its parts are.
func TestMetricsOfRuns(t *testing.T) {
	r := newRig(t)
	spec := `
    triggers: [{event: a}]
    concurrency: [{limit: 1, key: "'all'"}]
    steps:
    - {name: tell, sendEvent: [{name: x}]}
    - {name: first, handler: ok}
    - {name: nap, sleep: 300ms}
    - {name: hear, waitForEvent: {event: b, timeout: 300ms}}
    - {name: ask, invoke: {function: child}}
    - {name: last, handler: ok}`
	r.start("one", "child", "triggers: [{event: never}]\nsteps: [{name: s, handler: ok}]")
	one, two := r.start("one", "f", spec), r.start("two", "f", spec)
	for range 3 {
		r.send(event.Event{Type: "a"})
	}
	r.ended("f", 3)
	sum := func(name string, labels ...string) float64 {
		a, _ := value(t, one.metrics, name, labels...)
		b, _ := value(t, two.metrics, name, labels...)
		return a + b
	}
	for _, tc := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{3, "wildout_runs_started_total", nil},
		{3, "wildout_runs_total", []string{"status", "succeeded"}},
		{0, "wildout_runs_total", []string{"status", "failed"}},
		{3, "wildout_run_latency_seconds", nil},
		{3, "wildout_run_start_delay_seconds", nil},
		{3, "wildout_step_attempt_duration_seconds", []string{"step", "first", "result", "ok"}},
		{3, "wildout_step_attempt_duration_seconds", []string{"step", "last", "result", "ok"}},
		{3, "wildout_wait_seconds", []string{"kind", "sleep"}},
		{3, "wildout_wait_seconds", []string{"kind", "waitForEvent"}},
		{3, "wildout_wait_seconds", []string{"kind", "invoke"}},
		{0, "wildout_runs_in_flight", nil},
	} {
		if got := sum(tc.name, tc.labels...); got != tc.want {
			t.Errorf("%s%v is %v, want %v", tc.name, tc.labels, got, tc.want)
		}
	}
	if sum("wildout_wait_seconds", "kind", "concurrency") < 1 {
		t.Error("no run waited for the concurrency limit")
	}
	for _, name := range []string{"wildout_runs_parked_total", "wildout_runs_resumed_total", "wildout_commit_batch_operations", "wildout_commit_duration_seconds", "wildout_redis_commands_total", "wildout_redis_round_trips_total"} {
		if sum(name) == 0 {
			t.Errorf("%s is 0", name)
		}
	}
}
