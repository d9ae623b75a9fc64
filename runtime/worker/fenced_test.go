package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// A runner that was frozen wakes with entries in its hands: none of them begins.
func TestNoRunBeginsWithoutALease(t *testing.T) {
	const manifest = `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: f}
spec:
  triggers: [{event: a}]
  steps: [{name: one, handler: count}]
`
	functions, _, err := plan.ReadManifests("f", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile("f", &functions[0].Spec, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	handlers := &wildout.Registry{}
	wildout.Add(handlers, "count", func(context.Context, struct{}) (int, error) {
		calls++
		return calls, nil
	})
	w, err := New(Options{Store: OnRedis(&runs.Store{}), Plan: p, Handlers: handlers, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(w)
	defer s.processor.engine.Close()
	s.lease.over.Store(true)
	d := delivery{Entry: store.Entry{Stream: "s", Type: "a", ID: "1-1", Deliveries: 1}}
	if err := s.processor.start(s.processor.owned(d, "run"), d, ""); !errors.Is(err, runs.ErrFenced) {
		t.Errorf("a run begins without a lease: %v", err)
	}
	if calls != 0 {
		t.Errorf("its handler was called %d times", calls)
	}
}
