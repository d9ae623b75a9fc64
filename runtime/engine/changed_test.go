package engine_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// operations are each kind of operation, under one name.
var operations = map[string]func(ctx context.Context) error{
	"sleep": func(ctx context.Context) error { return wildout.Sleep(ctx, "x", time.Hour) },
	"step": func(ctx context.Context) error {
		_, err := wildout.Step(ctx, "x", func(context.Context) ([]string, error) { return []string{"a"}, nil })
		return err
	},
	"send": func(ctx context.Context) error {
		_, err := wildout.SendEvent(ctx, "x", wildout.Event{Type: "b"})
		return err
	},
	"invoke": func(ctx context.Context) error { _, err := wildout.Invoke[any](ctx, "x", "g", nil); return err },
	"invoke another": func(ctx context.Context) error {
		_, err := wildout.Invoke[any](ctx, "x", "h", nil)
		return err
	},
	"wait": func(ctx context.Context) error {
		_, err := wildout.WaitForEvent[any](ctx, "x", wildout.WaitOptions{Event: "any", Timeout: time.Hour})
		return err
	},
	"wait for another": func(ctx context.Context) error {
		_, err := wildout.WaitForEvent[any](ctx, "x", wildout.WaitOptions{Event: "paid", Match: "data.id", Timeout: time.Hour})
		return err
	},
}

// answer gives the operation what it waits for.
func answer(b *bed, operation string) {
	switch operation {
	case "wait", "wait for another":
		b.deliver("one/x", arrived(`{"id":7}`))
	case "invoke", "invoke another":
		b.deliver("one/x", &run.Result{Output: json.RawMessage("1"), Attempts: 1})
	}
}

// TestTheCodeOfAHandlerChanges under a run that waits in it: what is now
// another operation under an old name is refused, whether the old one is over or
// not, and says what each does.
func TestTheCodeOfAHandlerChanges(t *testing.T) {
	for name, tc := range map[string]struct{ was, is, text string }{
		"a sleep becomes a step":         {"sleep", "step", "an operation one/x that sleeps, and its handler now asks for one of this name that is a sub-step: two operations need two names"},
		"a sleep becomes a wait":         {"sleep", "wait", "that sleeps, and its handler now asks for one of this name that waits for any"},
		"a sleep becomes an event":       {"sleep", "send", "that sleeps, and its handler now asks for one of this name that sends events"},
		"a step becomes a sleep":         {"step", "sleep", "that is a sub-step, and its handler now asks for one of this name that sleeps"},
		"a step becomes an event":        {"step", "send", "that is a sub-step, and its handler now asks for one of this name that sends events"},
		"an event becomes a step":        {"send", "step", "that sends events, and its handler now asks for one of this name that is a sub-step"},
		"an event becomes a wait":        {"send", "wait", "that sends events, and its handler now asks for one of this name that waits for any"},
		"a wait becomes a run":           {"wait", "invoke", "that waits for any, and its handler now asks for one of this name that invokes g"},
		"a wait is for another event":    {"wait", "wait for another", "that waits for any, and its handler now asks for one of this name that waits for paid by data.id"},
		"a run becomes a sleep":          {"invoke", "sleep", "that invokes g, and its handler now asks for one of this name that sleeps"},
		"a run is of another function":   {"invoke", "invoke another", "that invokes g, and its handler now asks for one of this name that invokes h"},
		"a sleep is a sleep":             {"sleep", "sleep", ""},
		"a step is a step":               {"step", "step", ""},
		"an event is an event":           {"send", "send", ""},
		"a run is of the same function":  {"invoke", "invoke", ""},
		"a wait is for the same event":   {"wait", "wait", ""},
		"another wait for the same":      {"wait for another", "wait for another", ""},
		"another run of the same":        {"invoke another", "invoke another", ""},
		"an event becomes another event": {"send", "send", ""},
	} {
		for _, over := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				both(t, oneFunction, func(t *testing.T, b *bed) {
					deployed := tc.was
					b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
						if err := wildout.Sleep(ctx, "first", time.Minute); err != nil {
							return nil, err
						}
						err := wildout.Parallel(ctx, operations[deployed], func(ctx context.Context) error { return wildout.Sleep(ctx, "beside", time.Second) })
						return "end", err
					})
					b.parks()
					time.Sleep(time.Minute)
					want(t, "kind", b.must().Kind, engine.Parked)
					if over {
						time.Sleep(2 * time.Hour)
						answer(b, tc.was)
					}
					time.Sleep(time.Second)
					deployed = tc.is
					if tc.text == "" && !over {
						want(t, "kind", b.must().Kind == engine.Finished, tc.is == "step" || tc.is == "send")
						answer(b, tc.was)
					}
					out := b.finish()
					if tc.text == "" {
						succeeded(t, out, `"end"`)
						return
					}
					failed(t, out, "one", tc.text)
					want(t, "attempts", out.Failure.Attempts, 1)
				})
			})
		}
	}
}

// TestTheCodeChangesWithinOneExecution finds it as well: the handler is called
// again by the runner that has parked nothing.
func TestTheCodeChangesWithinOneExecution(t *testing.T) {
	both(t, oneFunction+"\n\t- {name: slow, needs: [], handler: slow, timeout: 3h}", func(t *testing.T, b *bed) {
		b.handle("slow", func(ctx context.Context, _ map[string]any) (any, error) {
			return 1, wait(ctx, 2*time.Hour)
		})
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			if b.age() == 0 {
				return nil, operations["sleep"](ctx)
			}
			return nil, operations["step"](ctx)
		})
		failed(t, b.must(), "one", "an operation one/x that sleeps")
	})
}

// wait is a handler at work.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
