package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
)

// busy measures while events flow.
func (s *session) busy(ctx context.Context) error {
	eventTypes, some := s.some()
	runners, err := newRunners(s.ground)
	if err != nil {
		return err
	}
	publisher, err := s.publisher(eventTypes)
	if err != nil {
		return err
	}
	defer publisher.close()
	flow, stop := context.WithCancel(ctx)
	defer stop()
	group, flow := errgroup.WithContext(flow)
	publishing, quiet := context.WithCancel(flow)
	defer quiet()
	group.Go(func() error { return runners.run(flow, named(some)) })
	group.Go(func() error { return publisher.run(publishing, s.o.rate) })
	group.Go(func() error {
		defer stop()
		if err := sleep(flow, 30*time.Second); err != nil { // those at zero are woken
			return err
		}
		runs := runners.ended()
		took, err := s.window(flow)
		if err != nil {
			return err
		}
		s.busyFigures(took, len(some), runners.ended()-runs)
		quiet()
		return sleep(flow, 5*time.Second) // an event that nobody handles keeps its readers awake
	})
	return group.Wait()
}

// some are the functions that get events, and how many event types they read.
func (s *session) some() (eventTypes int, functions []v1alpha1.WildoutFunction) {
	perType := (s.o.functions + s.o.types - 1) / s.o.types
	eventTypes = min((s.o.busy+perType-1)/perType, s.o.types)
	for n := range s.functions {
		if n%s.o.types < eventTypes {
			functions = append(functions, s.functions[n])
		}
	}
	return eventTypes, functions
}

// restart ends the operator, as a rollout of it does, and starts it again:
// nothing has changed, so nothing is to be written.
func (s *session) restart(ctx context.Context) error {
	s.tally.quiet(ctx, pause, s.o.settle)
	before, err := s.versions(ctx)
	if err != nil {
		return err
	}
	if err := s.operator.stop(); err != nil {
		return err
	}
	span := span{began: time.Now(), calls: s.tally.snapshot()}
	if err := s.operator.start(ctx); err != nil {
		return err
	}
	var reconciled time.Time // zero: not yet
	err = s.eventually(ctx, len(s.functions), "functions are reconciled", func() (int, error) {
		if err := sleep(ctx, 500*time.Millisecond); err != nil { // to ask costs the operator something
			return 0, err
		}
		w, err := s.operator.work(ctx)
		all := int(w.reconciled) >= len(s.functions) && w.open == 0
		if all && reconciled.IsZero() {
			reconciled = time.Now()
		}
		if last, _ := s.tally.idleSince(); all && time.Since(last) > pause && time.Since(reconciled) > pause {
			return len(s.functions), err
		}
		return min(int(w.reconciled), len(s.functions)-1), err // it may ask for more
	})
	if err != nil {
		return err
	}
	took, err := s.end(ctx, span)
	if err != nil {
		return err
	}
	took.length = reconciled.Sub(span.began)
	last, _ := s.tally.idleSince()
	after, err := s.versions(ctx)
	if err != nil {
		return err
	}
	s.restartFigures(took, last.Sub(span.began), differences(before, after))
	return nil
}

// wake publishes events for functions at zero while there is no operator, and
// waits until the next one has given each a pod.
func (s *session) wake(ctx context.Context) error {
	s.tally.quiet(ctx, pause, s.o.settle)
	eventTypes, some := s.some()
	some = elasticOf(some)
	publisher, err := s.publisher(eventTypes)
	if err != nil {
		return err
	}
	defer publisher.close()
	if err := s.asleep(ctx, some); err != nil {
		return err
	}
	if err := s.operator.stop(); err != nil {
		return err
	}
	for n := range eventTypes {
		if err := publisher.publish(ctx, n); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := s.operator.start(ctx); err != nil {
		return err
	}
	var each []time.Duration
	err = s.eventually(ctx, len(some), "functions at zero have a pod", func() (int, error) {
		awake, err := s.withPods(ctx, some)
		for len(each) < awake {
			each = append(each, time.Since(began))
		}
		return awake, err
	})
	if err == nil {
		s.wakeFigures(each)
	}
	return err
}

// elasticOf are those of the functions that have as many runners as there is
// work for.
func elasticOf(functions []v1alpha1.WildoutFunction) (some []v1alpha1.WildoutFunction) {
	for i := range functions {
		if functions[i].Spec.Runner.Scaling != nil {
			some = append(some, functions[i])
		}
	}
	return some
}

// asleep waits until those of the functions are at zero that can be.
func (s *session) asleep(ctx context.Context, functions []v1alpha1.WildoutFunction) error {
	some := elasticOf(functions)
	return s.eventually(ctx, len(some), "functions are at zero", func() (int, error) {
		awake, err := s.withPods(ctx, some)
		return len(some) - awake, err
	})
}

// withPods counts those of the functions that have a pod.
func (s *session) withPods(ctx context.Context, functions []v1alpha1.WildoutFunction) (n int, err error) {
	var pods corev1.PodList
	if err := s.watch.List(ctx, &pods); err != nil {
		return 0, fmt.Errorf("list the pods: %w", err)
	}
	has := map[types.NamespacedName]bool{}
	for i := range pods.Items {
		has[types.NamespacedName{Namespace: pods.Items[i].Namespace, Name: pods.Items[i].Labels[v1alpha1.LabelFunction]}] = true
	}
	for i := range functions {
		if has[client.ObjectKeyFromObject(&functions[i])] {
			n++
		}
	}
	return n, nil
}
