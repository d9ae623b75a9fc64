package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/telemetry"
	"github.com/wildout/wildout/runtime/worker"

	"github.com/wildout/wildout/cmd/wildout/internal/manifest"
)

// The workers of a developer: a change shows at once, and a run that is under
// way is soon taken over by the worker that comes after.
const (
	lease = 5 * time.Second
	grace = time.Second
)

// functions are the workers of one process, one per function.
type functions struct {
	store    *store.Conn
	handlers *wildout.Registry
	env      map[string]string
	metrics  *worker.Metrics
	tracing  *telemetry.Tracing
	log      *slog.Logger

	mu      sync.Mutex
	running map[string]*running
	ended   sync.WaitGroup
}

// running is a function with its worker.
type running struct {
	manifest.Function
	// created is when its file was first seen, added what came to be read later.
	created time.Time
	added   map[string]time.Time
	worker  *worker.Worker
	stop    context.CancelFunc
}

// change is what apply did.
type change struct{ started, changed, stopped []string }

func (c change) String() string {
	var parts []string
	for _, part := range []struct {
		verb  string
		names []string
	}{{"new", c.started}, {"changed", c.changed}, {"removed", c.stopped}} {
		if len(part.names) > 0 {
			slices.Sort(part.names)
			parts = append(parts, part.verb+": "+strings.Join(part.names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// apply starts, replaces and stops workers until they are those of set. A
// function whose file is at fault stays as it is.
func (f *functions) apply(ctx context.Context, set *manifest.Set) (change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var done change
	wanted := map[string]bool{}
	for _, next := range set.Functions {
		name := next.Plan.Function
		wanted[name] = true
		old := f.running[name]
		if old != nil && old.Plan.Hash == next.Plan.Hash {
			old.Source = next.Source
			continue
		}
		if err := f.start(ctx, next, old); err != nil {
			return done, err
		}
		if old == nil {
			done.started = append(done.started, name)
			continue
		}
		old.stop() // it drains beside the new one
		done.changed = append(done.changed, name)
	}
	faulty := map[string]bool{}
	for _, fault := range set.Faults {
		faulty[fault.Source] = true
	}
	for name, old := range f.running {
		if !wanted[name] && !faulty[old.Source] {
			old.stop()
			delete(f.running, name)
			done.stopped = append(done.stopped, name)
		}
	}
	return done, nil
}

// start runs a function in place of an older version of it; nil: it is new.
func (f *functions) start(ctx context.Context, next manifest.Function, old *running) error {
	r := &running{Function: next, created: time.Now(), added: map[string]time.Time{}}
	if old != nil {
		r.created = old.created
		for _, t := range next.Plan.Spec.Reads() {
			if at, known := old.added[t]; known {
				r.added[t] = at
			} else if !slices.Contains(old.Plan.Spec.Reads(), t) {
				r.added[t] = time.Now()
			}
		}
	}
	w, err := worker.New(worker.Options{Store: worker.OnRedis(runs.New(f.store)), Plan: next.Plan, Created: r.created, Added: r.added, Handlers: f.handlers, Env: f.env, Name: "dev",
		Lease: lease, Grace: grace, Logger: f.log, Metrics: f.metrics, Tracing: f.tracing})
	if err != nil {
		return fmt.Errorf("function %s: %w", next.Plan.Function, err)
	}
	ctx, stop := context.WithCancel(ctx)
	r.worker = w
	r.stop = stop
	f.running[next.Plan.Function] = r
	f.ended.Go(func() {
		defer stop()
		if err := w.Run(ctx); err != nil {
			f.log.Error("worker ended", "function", next.Plan.Function, "error", err)
		}
	})
	return nil
}

// wait returns when all workers have ended.
func (f *functions) wait() { f.ended.Wait() }

// health says which functions are not ready, and why; the reason that they
// share is said once.
func (f *functions) health() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	reasons := map[string][]string{}
	for name, r := range f.running {
		if err := r.worker.Health(); err != nil {
			reasons[err.Error()] = append(reasons[err.Error()], name)
		}
	}
	var errs []error
	for reason, names := range reasons {
		slices.Sort(names)
		errs = append(errs, fmt.Errorf("%s: %s", strings.Join(names, ", "), reason))
	}
	return errors.Join(errs...)
}

// list returns the functions with their triggers, by name.
func (f *functions) list() []Function {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Function, 0, len(f.running))
	for name, r := range f.running {
		shown := Function{Name: name}
		for _, t := range r.Plan.Spec.Triggers {
			switch {
			case t.Event != "":
				shown.Triggers = append(shown.Triggers, string(t.Event))
			case t.TimeZone != "":
				shown.Triggers = append(shown.Triggers, "cron "+t.Cron+" "+t.TimeZone)
			default:
				shown.Triggers = append(shown.Triggers, "cron "+t.Cron)
			}
		}
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return all
}
