package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/telemetry"
	"github.com/wildout/wildout/runtime/worker"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(victimRedis); url != "" {
		runVictim(url)
	}
	// What the machine has set must not decide where spans go.
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// rig is a namespace of a real Redis, with handlers and the log of its workers.
type rig struct {
	t        *testing.T
	redis    *servicetest.Redis
	store    *store.Conn
	handlers *wildout.Registry
	log      logBuffer
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, redis: servicetest.StartRedis(t), handlers: &wildout.Registry{}}
	var err error
	if r.store, err = store.Open(store.Options{URL: r.redis.URL(), Namespace: "t", Logger: r.logger()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.store.Close() })
	wildout.Add(r.handlers, "ok", func(context.Context, any) (string, error) { return "fine", nil })
	return r
}

func (r *rig) logger() *slog.Logger {
	return slog.New(telemetry.NewLogHandler(slog.NewJSONHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// trace sends the spans of this test to the collector, soon.
func (r *rig) traceTo(url string) {
	r.t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	r.t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
}

// runner is a worker with what a runner has beside it.
type runner struct {
	metrics *prometheus.Registry
	stop    func()
}

// start runs a function, written without the frame of its manifest, until the
// test ends or stop is called. instance is the name of its pod.
func (r *rig) start(instance, name, spec string) *runner {
	r.t.Helper()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(telemetry.NewRedisTraffic(r.store))
	tracing := telemetry.Start(context.Background(), telemetry.Options{Service: name, Instance: instance, Logger: r.logger(), Metrics: metrics})
	backlog, err := telemetry.NewBacklog(metrics, telemetry.BacklogOptions{Store: r.store, Functions: []string{name}, Period: 100 * time.Millisecond, Logger: r.logger()})
	if err != nil {
		r.t.Fatal(err)
	}
	w, err := worker.New(worker.Options{Store: worker.OnRedis(runs.New(r.store)), Plan: compile(r.t, name, spec), Handlers: r.handlers, Name: instance,
		Created: time.Unix(1, 0), // its events may come before a runner does
		Lease:   2 * time.Second, Grace: 2 * time.Second, Logger: r.logger(), Metrics: worker.NewMetrics(metrics), Tracing: tracing})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = w.Run(ctx) })
	group.Go(func() { _ = backlog.Run(ctx) })
	var once sync.Once
	record := &runner{metrics: metrics, stop: func() { once.Do(func() { cancel(); group.Wait(); tracing.Close() }) }}
	r.t.Cleanup(record.stop)
	return record
}

func compile(t *testing.T, name, spec string) *plan.Plan {
	t.Helper()
	p, err := compileSpec(name, spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func compileSpec(name, spec string) (*plan.Plan, error) {
	text := "apiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: " + name + "}\nspec:\n"
	for line := range strings.Lines(strings.Trim(spec, "\n")) {
		text += "  " + strings.TrimPrefix(strings.ReplaceAll(line, "\t", "  "), "    ")
	}
	functions, _, err := plan.ReadManifests(name, []byte(text))
	if err != nil {
		return nil, err
	}
	return plan.Compile(name, &functions[0].Spec, plan.Options{})
}

func (r *rig) send(e event.Event) *event.Event {
	r.t.Helper()
	if len(e.Data) == 0 {
		e.Data = []byte(`{}`)
	}
	if err := r.store.Publish(context.Background(), &e); err != nil {
		r.t.Fatal(err)
	}
	return &e
}

// ended waits for the end of n runs of a function.
func (r *rig) ended(function string, n int) []run.Record {
	r.t.Helper()
	var all []run.Record
	eventually(r.t, 20*time.Second, fmt.Sprintf("end of %d runs of %s", n, function), func() bool {
		var err error
		if all, err = inspect.New(r.store).History(context.Background(), function, 1000); err != nil {
			r.t.Fatal(err)
		}
		return len(all) >= n
	})
	return all
}

// logBuffer keeps lines of JSON.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// lines returns what was logged, decoded.
func (b *logBuffer) lines(t *testing.T) (all []map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("log line %s: %v", line, err)
		}
		all = append(all, fields)
	}
	return all
}
