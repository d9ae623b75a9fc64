package engine_test

import (
	"context"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
)

// instant is a journal whose writes cost nothing, so that a benchmark sees the
// engine alone.
type instant struct{}

func (instant) Commit(context.Context, string, []byte) ([]byte, error) { return nil, nil }
func (instant) Send(context.Context, string, []byte, []engine.OutEvent) ([]byte, error) {
	return nil, nil
}
func (instant) Await(context.Context, engine.Wait) (*event.Event, string, error) {
	return nil, "0-0", nil
}
func (instant) Invoke(context.Context, string, []byte, engine.Child) (bool, error) { return true, nil }

func BenchmarkThreeSteps(b *testing.B) {
	functions, _, err := plan.ReadManifests("bench", []byte(`
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: bench}
spec:
  triggers: [{event: a}]
  steps:
  - {name: one, handler: step, with: {id: "${event.id}", action: "${event.data.action}", before: false}}
  - {name: two, handler: step, with: {id: "${event.id}", action: "${event.data.action}", before: "${steps.one.output.ok}"}}
  - {name: three, handler: step, with: {id: "${event.id}", action: "${event.data.action}", before: "${steps.two.output.ok}"}}
`))
	if err != nil {
		b.Fatal(err)
	}
	p, err := plan.Compile("bench", &functions[0].Spec, plan.Options{})
	if err != nil {
		b.Fatal(err)
	}
	type input struct {
		ID     string `json:"id"`
		Action string `json:"action"`
		Before bool   `json:"before"`
	}
	type output struct {
		OK bool   `json:"ok"`
		ID string `json:"id"`
	}
	e := &engine.Engine{Handlers: &wildout.Registry{}, Now: time.Now}
	wildout.Add(e.Handlers, "step", func(_ context.Context, in input) (output, error) { return output{true, in.ID}, nil })
	data := []byte(`{"action":"LISTING_UPDATE","actor":"user-1","role":"editor","resource":{"kind":"listing","id":"listing-1"},"details":{"count":1,"fields":["title","venue","starts_at"],"note":"moved to the larger hall because tickets sold out"}}`)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			run := engine.Run{ID: "r", Event: event.Event{ID: "e", Type: "a", Data: data}, StartedAt: time.Now(), Attempt: 1, Journal: instant{}, Elsewhere: func(engine.Outcome, error) {}}
			run.Follow(p)
			out, err := e.Execute(context.Background(), &run)
			if err != nil || out.Kind != engine.Finished {
				b.Fatal(out.Kind, err)
			}
		}
	})
}
