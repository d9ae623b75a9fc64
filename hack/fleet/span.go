package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// span is what there was when a measurement began.
type span struct {
	began  time.Time
	calls  calls
	usage  usage
	effort effort
}

// spent is what a measurement has found.
type spent struct {
	length time.Duration
	calls  calls
	usage  usage  // CPU: of this time
	effort effort // of this time
}

func (g *ground) begin(ctx context.Context) (b span, err error) {
	b = span{began: time.Now(), calls: g.tally.snapshot()}
	if b.usage, err = g.operator.usage(); err != nil {
		return b, err
	}
	b.effort, err = g.redis.effort(ctx)
	return b, err
}

func (g *ground) end(ctx context.Context, b span) (s spent, err error) {
	s = spent{length: time.Since(b.began), calls: g.tally.snapshot().since(b.calls)}
	if s.usage, err = g.operator.usage(); err != nil {
		return s, err
	}
	s.usage.CPU -= b.usage.CPU
	if s.effort, err = g.redis.effort(ctx); err != nil {
		return s, err
	}
	s.effort.CPU, s.effort.Commands = s.effort.CPU-b.effort.CPU, s.effort.Commands-b.effort.Commands
	return s, nil
}

// during measures while something is done.
func (g *ground) during(ctx context.Context, do func() error) (spent, error) {
	b, err := g.begin(ctx)
	if err != nil {
		return spent{}, err
	}
	if err := do(); err != nil {
		return spent{}, err
	}
	return g.end(ctx, b)
}

// window measures for the length of a window.
func (g *ground) window(ctx context.Context) (spent, error) {
	return g.during(ctx, func() error { return sleep(ctx, g.o.window) })
}

// versions are the resource versions of everything that the operator writes,
// by kind and name. An apply that changes nothing leaves them as they are.
func (g *ground) versions(ctx context.Context) (map[string]string, error) {
	var mu sync.Mutex
	all := map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	for _, kind := range []schema.GroupVersionKind{
		{Group: "wildout.dev", Version: "v1alpha1", Kind: "WildoutFunction"}, {Group: "wildout.dev", Version: "v1alpha1", Kind: "WildoutEventType"},
		{Group: "apps", Version: "v1", Kind: "Deployment"}, {Version: "v1", Kind: "ConfigMap"}, {Version: "v1", Kind: "ServiceAccount"},
		{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}, {Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	} {
		group.Go(func() error {
			found := &metav1.PartialObjectMetadataList{}
			found.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
			if err := g.cluster.List(ctx, found); err != nil {
				return fmt.Errorf("list all of the kind %s: %w", kind.Kind, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range found.Items {
				o := &found.Items[i]
				all[kind.Kind+" "+o.Namespace+"/"+o.Name] = o.ResourceVersion
			}
			return nil
		})
	}
	return all, errors.Join(group.Wait())
}

// differences are what was changed, made or removed.
func differences(before, after map[string]string) (changed []string) {
	for name, version := range after {
		if before[name] != version {
			changed = append(changed, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}
