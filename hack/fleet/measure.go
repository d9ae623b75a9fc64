package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
)

const (
	// atOnce is how many requests we make at a time, as a GitOps tool would.
	atOnce = 8
	// pause without a write means that everything is settled.
	pause = 20 * time.Second
	// patience bounds each step.
	patience = 30 * time.Minute
)

// session is one measurement, from an empty cluster to an empty cluster.
type session struct {
	*ground
	*figures
	functions []v1alpha1.WildoutFunction
}

// measure takes the steps one after the other. It returns what it has measured
// also when one fails.
func measure(ctx context.Context, g *ground) (*figures, error) {
	functions, err := g.o.manifests(g.cluster.session)
	if err != nil {
		return nil, err
	}
	s := &session{ground: g, figures: newFigures(g.o), functions: functions}
	for _, step := range []struct {
		name string
		take func(context.Context) error
	}{
		{"create", s.create}, {"idle", s.idle}, {"busy", s.busy}, {"restart", s.restart}, {"wake", s.wake}, {"change", s.change}, {"delete", s.remove},
	} {
		g.logger.Info("measuring", "step", step.name)
		if err := step.take(ctx); err != nil {
			return s.figures, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return s.figures, s.verdict()
}

// create makes all event types and functions, and waits until all are Ready.
func (s *session) create(ctx context.Context) error {
	if err := s.operator.start(ctx); err != nil {
		return err
	}
	empty, err := s.operator.usage()
	if err != nil {
		return err
	}
	eventTypes, err := s.o.eventTypes()
	if err != nil {
		return err
	}
	span, err := s.begin(ctx)
	if err != nil {
		return err
	}
	for i := range eventTypes {
		if err := s.cluster.Create(ctx, &eventTypes[i]); err != nil {
			return fmt.Errorf("create the event type %s: %w", eventTypes[i].Name, err)
		}
	}
	began := make([]time.Time, len(s.functions))
	err = s.each(ctx, func(ctx context.Context, n int) error {
		began[n] = time.Now()
		return s.cluster.Create(ctx, s.functions[n].DeepCopy())
	})
	if err != nil {
		return err
	}
	created := time.Since(span.began)
	ready, err := s.allReady(ctx, nil)
	if err != nil {
		return err
	}
	took, err := s.end(ctx, span)
	if err != nil {
		return err
	}
	var each []time.Duration
	for n := range s.functions {
		each = append(each, ready[client.ObjectKeyFromObject(&s.functions[n])].Sub(began[n]))
	}
	applied := s.tally.lastOf(call{"apply", "deployments"}).Sub(span.began)
	s.createdFigures(each, created, applied, took, empty)
	return nil
}

// each does something with every function, some at a time.
func (s *session) each(ctx context.Context, do func(ctx context.Context, n int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for n := range s.functions {
		group.Go(func() error {
			if err := do(ctx, n); err != nil {
				return fmt.Errorf("function %s: %w", s.functions[n].Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// allReady waits until all functions are Ready with a generation later than
// before, and returns when each was.
func (s *session) allReady(ctx context.Context, before map[types.NamespacedName]seen) (map[types.NamespacedName]time.Time, error) {
	at := map[types.NamespacedName]time.Time{}
	err := s.eventually(ctx, len(s.functions), "functions are Ready", func() (int, error) {
		for name, f := range s.watch.functions() {
			if f.ready && f.generation > before[name].generation && at[name].IsZero() {
				at[name] = f.since
			}
		}
		return len(at), nil
	})
	return at, err
}

// eventually waits until a count has reached a number.
func (s *session) eventually(ctx context.Context, want int, what string, count func() (int, error)) error {
	for end, told := time.Now().Add(patience), time.Now(); ; {
		n, err := count()
		if n >= want || err != nil {
			return err
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			s.logger.Info("waiting", "until", what, "so far", n)
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %s %d of %d %s", patience, n, want, what)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// idle measures while nothing happens: no event, no change, and so no write.
func (s *session) idle(ctx context.Context) error {
	began := time.Now()
	if err := s.asleep(ctx, s.functions); err != nil {
		return err
	}
	s.settled = s.tally.quiet(ctx, pause, s.o.settle)
	_, s.lastWrite = s.tally.idleSince()
	if s.lastWrite.Before(began) {
		s.lastWrite = began
	}
	s.settling = s.lastWrite.Sub(began)
	before, err := s.versions(ctx)
	if err != nil {
		return err
	}
	took, err := s.window(ctx)
	if err != nil {
		return err
	}
	after, err := s.versions(ctx)
	if err != nil {
		return err
	}
	s.idleFigures(took, differences(before, after))
	return nil
}

// change gives each function another description, and waits until all say that
// they have seen it.
func (s *session) change(ctx context.Context) error {
	before := s.watch.functions()
	took, err := s.during(ctx, func() error {
		err := s.each(ctx, func(ctx context.Context, n int) error {
			patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"description":"One of many, in other words."}}`))
			return s.cluster.Patch(ctx, s.functions[n].DeepCopy(), patch)
		})
		if err == nil {
			_, err = s.allReady(ctx, before)
		}
		return err
	})
	if err == nil {
		s.changeFigures(took)
	}
	return err
}

// remove deletes all functions.
func (s *session) remove(ctx context.Context) error {
	took, err := s.during(ctx, func() error {
		err := s.each(ctx, func(ctx context.Context, n int) error {
			return s.cluster.Delete(ctx, s.functions[n].DeepCopy())
		})
		if err != nil {
			return err
		}
		return s.eventually(ctx, len(s.functions), "functions are gone", func() (int, error) { return len(s.functions) - len(s.watch.functions()), nil })
	})
	if err == nil {
		s.removeFigures(took)
	}
	return err
}
