package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/api/v1alpha1"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	writer "github.com/wildout/wildout/runtime/handlers/log"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// runners are the workers of fake pods: real ones, in this process, of the
// functions that get events. One begins when its pod is ready, and ends with it.
type runners struct {
	ground   *ground
	registry *wildout.Registry
	metrics  *worker.Metrics
	gathered *prometheus.Registry
	quiet    *slog.Logger
	running  map[types.UID]context.CancelFunc
	all      sync.WaitGroup
}

func newRunners(g *ground) (*runners, error) {
	r := &runners{ground: g, registry: &wildout.Registry{}, gathered: prometheus.NewRegistry(), quiet: slog.New(slog.DiscardHandler), running: map[types.UID]context.CancelFunc{}}
	r.metrics = worker.NewMetrics(r.gathered)
	lines, err := writer.New(writer.Options{Logger: r.quiet})
	if err != nil {
		return nil, fmt.Errorf("set up the handlers: %w", err)
	}
	writer.Register(r.registry, lines)
	return r, nil
}

// run works until ctx ends, for those functions.
func (r *runners) run(ctx context.Context, functions map[types.NamespacedName]*v1alpha1.WildoutFunction) error {
	defer r.all.Wait()
	for ctx.Err() == nil {
		var pods corev1.PodList
		if err := r.ground.watch.List(ctx, &pods); err != nil {
			return fmt.Errorf("list the pods: %w", err)
		}
		there := map[types.UID]bool{}
		for i := range pods.Items {
			pod := &pods.Items[i]
			f := functions[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Labels[v1alpha1.LabelFunction]}]
			if f == nil || pod.Status.Phase != corev1.PodRunning || !pod.DeletionTimestamp.IsZero() {
				continue
			}
			there[pod.UID] = true
			if r.running[pod.UID] == nil {
				if err := r.begin(ctx, pod.UID, f); err != nil {
					return err
				}
			}
		}
		for uid, end := range r.running {
			if !there[uid] {
				end()
				delete(r.running, uid)
			}
		}
		_ = sleep(ctx, 100*time.Millisecond)
	}
	return nil
}

// begin starts the worker of a pod.
func (r *runners) begin(ctx context.Context, pod types.UID, f *v1alpha1.WildoutFunction) error {
	p, err := plan.Compile(f.Name, &f.Spec, plan.Options{})
	if err != nil {
		return fmt.Errorf("compile %s: %w", f.Name, err)
	}
	s, err := store.Open(store.Options{URL: r.ground.redis.url(), Namespace: f.Namespace, Logger: r.quiet, PoolSize: 6})
	if err != nil {
		return fmt.Errorf("reach Redis for %s: %w", f.Name, err)
	}
	w, err := worker.New(worker.Options{Store: worker.OnRedis(runs.New(s)), Plan: p, Handlers: r.registry, Name: "fleet", Logger: r.quiet, Metrics: r.metrics})
	if err != nil {
		return fmt.Errorf("set up a runner of %s: %w", f.Name, err)
	}
	ctx, r.running[pod] = context.WithCancel(ctx)
	r.all.Go(func() {
		defer s.Close()
		_ = w.Run(ctx) // it always ends well
	})
	return nil
}

// ended is how many runs have ended.
func (r *runners) ended() (n float64) {
	families, _ := r.gathered.Gather() // these do not fail
	for _, family := range families {
		if family.GetName() == "wildout_runs_total" {
			for _, m := range family.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// publisher publishes events of some types, in turn, as the gateway does.
type publisher struct {
	stores []*store.Conn
	types  []string
}

func (g *ground) publisher(types int) (*publisher, error) {
	p := &publisher{}
	for n := range types {
		s, err := store.Open(store.Options{URL: g.redis.url(), Namespace: g.o.namespace(n), Logger: slog.New(slog.DiscardHandler), PoolSize: 1})
		if err != nil {
			return nil, fmt.Errorf("reach Redis: %w", err)
		}
		p.stores, p.types = append(p.stores, s), append(p.types, eventType(n))
	}
	return p, nil
}

// run publishes so many events per second until ctx ends.
func (p *publisher) run(ctx context.Context, rate float64) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.publish(ctx, n); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// publish publishes event n.
func (p *publisher) publish(ctx context.Context, n int) error {
	data, err := json.Marshal(map[string]any{"order": fmt.Sprint("o", n), "user": fmt.Sprint("u", n%100), "count": n})
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	at := n % len(p.types)
	if err := p.stores[at].Publish(ctx, &event.Event{Type: p.types[at], Data: data}); err != nil {
		return fmt.Errorf("publish an event: %w", err)
	}
	return nil
}

func (p *publisher) close() {
	for _, s := range p.stores {
		s.Close()
	}
}

// named are functions by name.
func named(functions []v1alpha1.WildoutFunction) map[types.NamespacedName]*v1alpha1.WildoutFunction {
	all := map[types.NamespacedName]*v1alpha1.WildoutFunction{}
	for i := range functions {
		all[client.ObjectKeyFromObject(&functions[i])] = &functions[i]
	}
	return all
}
