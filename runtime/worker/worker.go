// Package worker is the loop of a runner: pull, admit, run, commit, heartbeat,
// recover, wake, drain. It joins the engine, which decides, to the store, which
// remembers. The package must not know Redis commands, nor what a handler does.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/telemetry"
)

// Options describe one runner of one function.
type Options struct {
	// Store is the Redis of the function: OnRedis makes one.
	Store Store
	Plan  *plan.Plan
	// Handlers are what steps may call.
	Handlers *wildout.Registry
	// Env is what expressions see as `env`.
	Env map[string]string
	// Name begins the runner's name, which gets a random end. Default: the host name.
	Name string
	// MaxInFlight bounds the runs that this runner has at once. Default: 256.
	MaxInFlight int
	// Lease is how long a runner may be silent before others take its runs.
	// Default: 10s.
	Lease time.Duration
	// Grace is how long runs may go on after the runner was asked to stop.
	// Default: 20s.
	Grace time.Duration
	// MaxDeliveries bounds how often an entry is given to a runner that does
	// not live to finish it. Default: 20.
	MaxDeliveries int64
	// Now is the clock of this machine; due times are by the server's. Default:
	// time.Now.
	Now func() time.Time
	// Logger gets a line per run. Default: slog.Default().
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
	// Tracing makes the spans of runs; nil: none.
	Tracing *telemetry.Tracing
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Store == nil || o.Plan == nil || o.Handlers == nil {
		return errors.New("worker: Store, Plan and Handlers are needed")
	}
	if o.Name == "" {
		o.Name, _ = os.Hostname()
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 256
	}
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = 20 * time.Second
	}
	if o.MaxDeliveries == 0 {
		o.MaxDeliveries = 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if o.MaxInFlight < 1 || o.Lease < 300*time.Millisecond || o.Grace < 0 || o.MaxDeliveries < 1 {
		return fmt.Errorf("worker: MaxInFlight %d, Lease %s, Grace %s and MaxDeliveries %d must be positive, and Lease at least 300ms",
			o.MaxInFlight, o.Lease, o.Grace, o.MaxDeliveries)
	}
	return nil
}

// Worker runs one function. Several workers, in one process or in many, share
// its runs.
type Worker struct {
	Options
	plans   plans
	metrics *functionMetrics
	mu      sync.Mutex
	health  error // why the worker is not ready; nil when it is
}

// New returns a Worker. It touches nothing before Run.
func New(o Options) (*Worker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Logger = o.Logger.With("function", o.Plan.Function)
	w := &Worker{Options: o, health: errors.New("not connected to Redis yet")}
	w.metrics = o.Metrics.of(o.Plan.Function)
	w.plans = plans{store: o.Store, current: o.Plan, known: map[string]*plan.Plan{o.Plan.Hash: o.Plan}}
	return w, nil
}

// Health says why the worker is not ready; nil means that it is.
func (w *Worker) Health() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.health
}

func (w *Worker) setHealth(err error) {
	w.mu.Lock()
	was := w.health
	w.health = err
	w.mu.Unlock()
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		w.Logger.Error("not ready", "error", err)
	case err == nil && was != nil:
		w.Logger.Info("ready")
	}
}

// Run works until ctx ends, then drains: it stops reading at once, lets what
// runs go on for the grace period, and parks the rest. Trouble with Redis does
// not end it: Health tells, and it tries again with growing pauses.
func (w *Worker) Run(ctx context.Context) error {
	w.serve(ctx)
	return nil
}

func (w *Worker) serve(ctx context.Context) {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
		began := w.Now()
		err := w.session(ctx)
		if ctx.Err() != nil {
			return
		}
		w.setHealth(err)
		if w.Now().Sub(began) > time.Minute || errors.Is(err, engine.ErrFenced) {
			pause = 100 * time.Millisecond
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// session is the life of the runner under one name: until ctx ends, or its
// lease runs out.
func (w *Worker) session(ctx context.Context) error {
	s := newSession(w)
	if err := s.open(ctx); err != nil {
		return err
	}
	w.setHealth(nil)
	return s.run(ctx)
}
