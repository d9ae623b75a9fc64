package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// oneFunction is a function that is written in Go: all of it is in its handler.
const oneFunction = `
	steps:
	- name: one
	  handler: work
	  timeout: 10s
	  retryPolicy: {maxAttempts: 3, initialInterval: 1m, jitter: "0"}
	  waits: [{event: paid, match: data.id}, {event: any}]`

// effects notes what sub-steps of handlers have done.
type effects struct {
	*bed
	done []string
}

// step does something once.
func (e *effects) step(ctx context.Context, name string) error {
	_, err := wildout.Step(ctx, name, func(context.Context) (bool, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.done = append(e.done, name)
		return true, nil
	})
	return err
}

// deliver gives a run what it waits for.
func (b *bed) deliver(path string, result *run.Result) {
	b.journal.mu.Lock()
	defer b.journal.mu.Unlock()
	b.journal.results[path] = result.Encode()
}

// parks executes the run, which must wait then, for these fields.
func (b *bed) parks(awaits ...string) engine.Outcome {
	b.t.Helper()
	out := b.must()
	if out.Kind != engine.Parked {
		b.t.Fatalf("kind: got %d (%s, %+v), want parked", out.Kind, out.Output, out.Failure)
	}
	wantAll(b.t, "awaits", out.Awaits, awaits)
	return out
}

func arrived(data string) *run.Result {
	return run.EventResult([]byte(`{"id":"e2","type":"paid","source":"shop","subject":"","time":"2030-01-01T00:00:00Z","data":`+data+`}`), time.Now())
}

// TestAFunctionWrittenAsOne sleeps, waits, invokes and sends in one handler,
// each once, with a process that dies wherever it can: every execution begins
// with the journal alone.
func TestAFunctionWrittenAsOne(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		e := &effects{bed: b}
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			if err := e.step(ctx, "reserve"); err != nil {
				return nil, err
			}
			if err := wildout.Sleep(ctx, "pause", time.Hour); err != nil {
				return nil, err
			}
			if err := e.step(ctx, "remind"); err != nil {
				return nil, err
			}
			paid, err := wildout.WaitForEvent[map[string]int](ctx, "paid", wildout.WaitOptions{Event: "paid", Match: "data.id", Timeout: 24 * time.Hour})
			if err != nil {
				return nil, err
			}
			sum, err := wildout.Invoke[int](ctx, "ship", "shipping", map[string]int{"sum": paid.Data["sum"]})
			if err != nil {
				return nil, err
			}
			ids, err := wildout.SendEvent(ctx, "tell", wildout.Event{Type: "shipped", Data: map[string]int{"sum": sum}}, wildout.Event{Type: "b", ID: "mine"})
			if err != nil {
				return nil, err
			}
			if err := wildout.SleepUntil(ctx, "rest", b.began.Add(10*time.Hour)); err != nil {
				return nil, err
			}
			return map[string]any{"sum": sum, "ids": len(ids), "second": ids[1], "source": paid.Source, "attempt": wildout.Info(ctx).Attempt}, nil
		})
		out := b.parks()
		want(t, "due of the pause", out.Due.Sub(b.began), time.Hour)
		wantAll(t, "done", e.done, []string{"reserve"})
		time.Sleep(time.Until(out.Due))

		out = b.parks("one/paid")
		want(t, "due of the wait", out.Due.Sub(b.began), 25*time.Hour)
		wait := b.journal.waits[0].Wait
		want(t, "wait", wait, run.Wait{Path: "one/paid", EventType: "paid", Match: "data.id", Value: "7"})
		time.Sleep(time.Hour)
		b.deliver("one/paid", arrived(`{"id":7,"sum":40}`))

		out = b.parks("one/ship")
		want(t, "due of the run that was invoked", out.Due.IsZero(), true)
		child := b.journal.children[0]
		want(t, "child", child.Child, run.Child{Function: "shipping", RunID: child.RunID, Path: "one/ship"})
		want(t, "data of the child", string(child.Event.Data), `{"sum":40}`)
		b.deliver("one/ship", &run.Result{Output: json.RawMessage("42"), Attempts: 1, Start: time.Now().UnixMilli()})

		out = b.parks()
		want(t, "due of the rest", out.Due.Sub(b.began), 10*time.Hour)
		want(t, "events", len(b.journal.sent), 2)
		want(t, "data of the event", string(b.journal.sent[0].Event.Data), `{"sum":42}`)
		want(t, "data left out", string(b.journal.sent[1].Event.Data), `{}`)
		want(t, "dedupe", b.journal.sent[1].Dedupe, true)
		time.Sleep(time.Until(out.Due))

		out = b.must()
		succeeded(t, out, `{"attempt":1,"ids":2,"second":"mine","source":"shop","sum":42}`)
		wantAll(t, "done, each once", e.done, []string{"reserve", "remind"})
		wantAll(t, "calls, none of which counts as an attempt", b.called(), slices.Repeat([]string{"one#1"}, 5))
		want(t, "waits to take back", len(out.Waits), 1)
		want(t, "children", len(b.journal.children), 1)
		want(t, "events", len(b.journal.sent), 2)
		wantAll(t, "timeline", timeline(b, out.Steps), []string{
			"one ok 36000+0", "one/pause ok 0+3600", "one/reserve ok 0+0", "one/paid ok 3600+3600", "one/remind ok 3600+0",
			"one/rest ok 7200+28800", "one/ship ok 7200+0", "one/tell ok 7200+0",
		})
	})
}

// TestFailuresBetweenWaits are tried again by the policy of the step, and what
// is over stays over.
func TestFailuresBetweenWaits(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		e := &effects{bed: b}
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			if err := errors.Join(wildout.Sleep(ctx, "first", time.Hour), e.step(ctx, "a")); err != nil {
				return nil, err
			}
			if wildout.Info(ctx).Attempt == 1 {
				return nil, errors.New("not yet")
			}
			if err := wildout.Sleep(ctx, "second", time.Hour); err != nil {
				return nil, err
			}
			if wildout.Info(ctx).Attempt == 2 {
				return nil, errors.New("not yet either")
			}
			return "at last", wildout.Sleep(ctx, "third", time.Hour)
		})
		out := b.finish()
		succeeded(t, out, `"at last"`)
		want(t, "time: three sleeps, and pauses of 1m and 2m", b.age(), 3*time.Hour+3*time.Minute)
		wantAll(t, "calls", b.called(), []string{"one#1", "one#1", "one#2", "one#2", "one#3", "one#3"})
		wantAll(t, "done", e.done, []string{"a"})
		want(t, "attempts", named(t, out.Steps, "one").Attempts, 3)
		want(t, "tries", len(named(t, out.Steps, "one").Tries), 2)
	})
}

// TestWaitsSideBySide lets each branch go on when its own wait is over.
func TestWaitsSideBySide(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		e := &effects{bed: b}
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			var got string
			err := wildout.Parallel(ctx,
				func(ctx context.Context) error {
					return errors.Join(wildout.Sleep(ctx, "short", time.Hour), e.step(ctx, "after-short"), wildout.Sleep(ctx, "more", 5*time.Hour))
				},
				func(ctx context.Context) error {
					paid, err := wildout.WaitForEvent[int](ctx, "paid", wildout.WaitOptions{Event: "any", Timeout: 3 * time.Hour})
					if err == nil && paid != nil {
						got = paid.ID
					}
					return err
				},
				func(ctx context.Context) error { return e.step(ctx, "at-once") },
			)
			if err != nil {
				return nil, err
			}
			return got, e.step(ctx, "behind")
		})
		out := b.parks("one/paid")
		want(t, "due", out.Due.Sub(b.began), time.Hour)
		wantAll(t, "done", e.done, []string{"at-once"})
		time.Sleep(time.Hour)
		out = b.parks("one/paid")
		want(t, "due, when the wait ends before the second sleep", out.Due.Sub(b.began), 3*time.Hour)
		wantAll(t, "done", e.done, []string{"at-once", "after-short"})
		b.deliver("one/paid", arrived("1"))
		out = b.parks()
		want(t, "due", out.Due.Sub(b.began), 6*time.Hour)
		succeeded(t, b.finish(), `"e2"`)
		wantAll(t, "done", e.done, []string{"at-once", "after-short", "behind"})
		wantAll(t, "calls", b.called(), slices.Repeat([]string{"one#1"}, 4))
	})
}

// TestABranchThatFails does not wait for the others.
func TestABranchThatFails(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			err := wildout.Parallel(ctx,
				func(ctx context.Context) error { return wildout.Sleep(ctx, "long", time.Hour) },
				func(context.Context) error {
					if wildout.Info(ctx).Attempt == 1 {
						return errors.New("not yet")
					}
					return nil
				})
			return wildout.Info(ctx).Attempt, err
		})
		out := b.parks()
		want(t, "due", out.Due.Sub(b.began), time.Minute)
		succeeded(t, b.finish(), "2")
		want(t, "time", b.age(), time.Hour+time.Minute)
		want(t, "panics of a branch are errors", errors.As(wildout.Parallel(context.Background()), new(*wildout.PanicError)), false)
	})
}

// TestAHandlerIsNotCalledForNothing: a run that goes on for another step leaves
// a handler alone that waits.
func TestAHandlerIsNotCalledForNothing(t *testing.T) {
	both(t, oneFunction+`
	- {name: other, needs: [], handler: flaky, retryPolicy: {maxAttempts: 9, initialInterval: 1m, multiplier: "1", jitter: "0"}}
	- {name: list, needs: [], forEach: "${event.data.list}", maxParallel: 2, handler: each}
	output: "${steps.list.output}"`,
		func(t *testing.T, b *bed) {
			b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
				return 1, wildout.Sleep(ctx, "long", 4*time.Hour)
			})
			b.handle("each", func(ctx context.Context, _ map[string]any) (any, error) {
				return wildout.Info(ctx).Step, wildout.Sleep(ctx, "nap", time.Hour)
			})
			b.handle("flaky", func(ctx context.Context, _ map[string]any) (any, error) {
				if wildout.Info(ctx).Attempt < 5 {
					return nil, errors.New("not yet")
				}
				return 1, nil
			})
			succeeded(t, b.finish(), `["list[0]","list[1]","list[2]","list[3]"]`)
			want(t, "time", b.age(), 4*time.Hour)
			calls := map[string]int{}
			for _, c := range b.called() {
				calls[c]++
			}
			want(t, "calls of one", calls["one#1"], 2)
			want(t, "calls of an element", calls["list[3]#1"], 2)
			want(t, "all calls", len(b.called()), 2+4*2+5)
		})
}

// TestWaitsOfHandlersThatEndOtherwise: a time-out, a race with it, a failure.
func TestWaitsOfHandlersThatEndOtherwise(t *testing.T) {
	wait := func(ctx context.Context) (any, error) {
		e, err := wildout.WaitForEvent[map[string]int](ctx, "paid", wildout.WaitOptions{Event: "paid", Match: "data.id", Value: "x", Timeout: time.Hour})
		if e == nil {
			return nil, err
		}
		return e.Data, err
	}
	call := func(ctx context.Context) (any, error) {
		n, err := wildout.Invoke[int](ctx, "call", "g", nil, wildout.InvokeTimeout(time.Hour))
		var failed *wildout.InvokeError
		if errors.As(err, &failed) {
			return failed.Function + ": " + failed.Message, nil
		}
		return n, err
	}
	for name, tc := range map[string]struct {
		work   func(context.Context) (any, error)
		during func(b *bed)
		output string
		age    time.Duration
	}{
		"the time is up": {wait, func(*bed) {}, "null", time.Hour},
		"the event comes at that moment": {wait, func(b *bed) {
			time.Sleep(time.Hour)
			b.journal.takes = time.Second // of the commit of the time-out
			time.AfterFunc(time.Millisecond, func() { b.deliver("one/paid", arrived(`{"n":1}`)) })
		}, `{"n":1}`, time.Hour + time.Second},
		"the invoked run takes too long": {call, func(*bed) {}, `had not ended after 1h0m0s`, time.Hour},
		"the invoked run fails": {call, func(b *bed) {
			b.deliver("one/call", &run.Result{Error: "the invoked run failed: no", Attempts: 1})
		}, `"g: the invoked run failed: no"`, 0},
		"the invoked run ends": {call, func(b *bed) {
			b.deliver("one/call", &run.Result{Output: json.RawMessage("5"), Attempts: 1})
		}, `5`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, oneFunction, func(t *testing.T, b *bed) {
				b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) { return tc.work(ctx) })
				want(t, "kind", b.must().Kind, engine.Parked)
				tc.during(b)
				out := b.finish()
				want(t, "kind", out.Kind, engine.Finished)
				wantText(t, "output", string(out.Output), tc.output)
				want(t, "time", b.age(), tc.age)
				wantAll(t, "calls", b.called(), []string{"one#1", "one#1"})
			})
		})
	}
}

// TestAHandlerInvokesAFunctionThatIsNotThere: the run waits for it with what is to be
// sent, and nobody calls the handler to find out.
func TestAHandlerInvokesAFunctionThatIsNotThere(t *testing.T) {
	work := func(b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			n, err := wildout.Invoke[int](ctx, "call", "g", map[string]int{"sum": 5}, wildout.InvokeTimeout(time.Hour))
			var failed *wildout.InvokeError
			if errors.As(err, &failed) {
				return failed.Message, nil
			}
			return n, err
		})
	}
	t.Run("and comes", func(t *testing.T) {
		both(t, oneFunction, func(t *testing.T, b *bed) {
			work(b)
			b.journal.absent = map[string]bool{"g": true}
			want(t, "kind", b.must().Kind, engine.Parked)
			want(t, "children", len(b.journal.children), 0)
			b.journal.absent = nil
			time.Sleep(time.Minute)
			want(t, "kind", b.must().Kind, engine.Parked)
			want(t, "data", string(b.journal.children[0].Event.Data), `{"sum":5}`)
			b.deliver("one/call", &run.Result{Output: json.RawMessage("7"), Attempts: 1})
			succeeded(t, b.must(), "7")
			wantAll(t, "calls", b.called(), []string{"one#1", "one#1"})
		})
	})
	t.Run("and does not come", func(t *testing.T) {
		both(t, oneFunction, func(t *testing.T, b *bed) {
			work(b)
			b.journal.absent = map[string]bool{"g": true}
			out := b.finish()
			wantText(t, "output", string(out.Output), "there has been no function g for 1h0m0s")
			want(t, "time", b.age(), time.Hour)
			wantAll(t, "calls", b.called(), []string{"one#1", "one#1"})
		})
	})
}

// TestAnEventThatIsThereAlready is found by the look-back.
func TestAnEventThatIsThereAlready(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		b.journal.found = func(w engine.Wait) *event.Event {
			want(t, "path in the event", w.At.String(), "data.id")
			fits, err := w.Fits(&event.Event{})
			want(t, "fits", fits && err == nil, true)
			return &event.Event{ID: "e9", Data: json.RawMessage(`5`)}
		}
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			e, err := wildout.WaitForEvent[int](ctx, "paid", wildout.WaitOptions{Event: "paid", Match: "data.id", Value: 1.5, Timeout: time.Hour})
			if err != nil {
				return nil, err
			}
			return e.Data, nil
		})
		succeeded(t, b.must(), "5")
		want(t, "value", b.journal.waits[0].Value, "1.5")
		want(t, "version", run.VersionOf(b.journal.results, b.journal.progress), b.plan.Hash)
		want(t, "time", b.age(), 0)
	})
}

// TestOperationsThatAreRefused fail the step at once, with what to do.
func TestOperationsThatAreRefused(t *testing.T) {
	wait := func(o wildout.WaitOptions) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := wildout.WaitForEvent[any](ctx, "w", o)
			return err
		}
	}
	send := func(events ...wildout.Event) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := wildout.SendEvent(ctx, "s", events...)
			return err
		}
	}
	invoke := func(function string, data any) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := wildout.Invoke[any](ctx, "i", function, data)
			return err
		}
	}
	for name, tc := range map[string]struct {
		do   func(ctx context.Context) error
		text string
	}{
		"an event that nobody reads":  {wait(wildout.WaitOptions{Event: "other", Timeout: time.Hour}), "write waits: [{event: other}] beside handler: work in step one"},
		"by another value":            {wait(wildout.WaitOptions{Event: "any", Match: "data.x", Timeout: time.Hour}), "write waits: [{event: any, match: data.x}]"},
		"without a time-out":          {wait(wildout.WaitOptions{Event: "any"}), "in WaitOptions.Timeout"},
		"by an object":                {wait(wildout.WaitOptions{Event: "paid", Match: "data.id", Value: []int{1}, Timeout: time.Hour}), "must be text, a number or a boolean"},
		"by what is no JSON":          {wait(wildout.WaitOptions{Event: "paid", Match: "data.id", Value: func() {}, Timeout: time.Hour}), "WaitOptions.Value"},
		"a type with a blank":         {send(wildout.Event{Type: "a b"}), `"a b" is no event type`},
		"data that is a list":         {send(wildout.Event{Type: "b", Data: []int{1}}), "must be an object"},
		"data that is no JSON":        {send(wildout.Event{Type: "b", Data: func() {}}), "cannot be stored as JSON"},
		"a function of another place": {invoke("../f", nil), `"../f" is no such name`},
		"invoked with text":           {invoke("f", "text"), "must be an object"},
		"a name with a slash":         {func(ctx context.Context) error { return wildout.Sleep(ctx, "a/b", 1) }, "no name of a durable operation"},
		"no name":                     {func(ctx context.Context) error { return wildout.Sleep(ctx, "", 1) }, "no name of a durable operation"},
		"two of one name": {func(ctx context.Context) error {
			_ = send(wildout.Event{Type: "b"})(ctx)
			return wildout.Sleep(ctx, "s", 1)
		}, `as in fmt.Sprintf("pause-%d", i)`},
		"in a goroutine of its own": {func(ctx context.Context) error {
			failed := make(chan error)
			go func() { failed <- wildout.Sleep(ctx, "s", time.Hour) }()
			return <-failed
		}, "start it with wildout.Parallel"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, oneFunction, func(t *testing.T, b *bed) {
				b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) { return nil, tc.do(ctx) })
				out := b.must()
				failed(t, out, "one", tc.text)
				wantAll(t, "calls", b.called(), []string{"one#1"})
			})
		})
	}
	t.Run("the event has no such value", func(t *testing.T) {
		both(t, oneFunction, func(t *testing.T, b *bed) {
			b.run.Event.Data = json.RawMessage(`{}`)
			b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
				return nil, wait(wildout.WaitOptions{Event: "paid", Match: "data.id", Timeout: time.Hour})(ctx)
			})
			failed(t, b.must(), "one", "no text, number or boolean at data.id: set WaitOptions.Value")
		})
	})
}

// TestAHandlerThatRecovers from what unwinds it waits all the same, and does
// nothing durable meanwhile.
func TestAHandlerThatRecovers(t *testing.T) {
	for name, end := range map[string]error{"and succeeds": nil, "and fails": errors.New("oh"), "and fails for good": wildout.NonRetriable(errors.New("oh"))} {
		t.Run(name, func(t *testing.T) {
			both(t, oneFunction, func(t *testing.T, b *bed) {
				e := &effects{bed: b}
				quietly := func(fn func() error) error {
					defer func() { _ = recover() }()
					return fn()
				}
				b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
					_ = quietly(func() error { return wildout.Sleep(ctx, "pause", time.Hour) })
					_ = quietly(func() error { return e.step(ctx, "too-early") })
					_ = quietly(func() error { _, err := wildout.SendEvent(ctx, "tell", wildout.Event{Type: "b"}); return err })
					if b.age() < time.Hour {
						return "too early", end
					}
					return "in time", nil
				})
				b.parks()
				want(t, "done", len(e.done)+len(b.journal.sent), 0)
				succeeded(t, b.finish(), `"in time"`)
				want(t, "done", len(e.done)+len(b.journal.sent), 2)
				wantAll(t, "calls", b.called(), []string{"one#1", "one#1"})
			})
		})
	}
}

// TestOperationsWithinASubStep: the sub-step is not over before they are.
func TestOperationsWithinASubStep(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		inside := 0
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			return wildout.Step(ctx, "outer", func(ctx context.Context) (int, error) {
				inside++
				for i := range 3 {
					if err := wildout.Sleep(ctx, fmt.Sprintf("nap-%d", i), time.Hour); err != nil {
						return 0, err
					}
				}
				return inside, nil
			})
		})
		want(t, "due", b.parks().Due.Sub(b.began), time.Hour)
		succeeded(t, b.finish(), "4")
		want(t, "time", b.age(), 3*time.Hour)
		wantAll(t, "commits", b.journal.committed(), []string{"one/outer"})
	})
}

// TestDeferredCallsRun when a handler waits, as in a panic, but nothing durable
// in them.
func TestDeferredCallsRun(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		e := &effects{bed: b}
		unlocked := 0
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			defer func() { unlocked++ }()
			defer func() { _ = e.step(ctx, "clean-up") }()
			return 1, wildout.Sleep(ctx, "pause", time.Hour)
		})
		b.parks()
		want(t, "deferred", unlocked, 1)
		want(t, "durable", len(e.done), 0)
		succeeded(t, b.finish(), "1")
		want(t, "deferred", unlocked, 2)
		wantAll(t, "durable", e.done, []string{"clean-up"})
	})
}

// TestSleepsThatAreOver do not wait.
func TestSleepsThatAreOver(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			return 1, errors.Join(wildout.Sleep(ctx, "none", 0), wildout.Sleep(ctx, "less", -time.Hour), wildout.SleepUntil(ctx, "before", b.began))
		})
		succeeded(t, b.must(), "1")
	})
}

// TestCancelOfAHandlerThatWaits tells what is to be taken back.
func TestCancelOfAHandlerThatWaits(t *testing.T) {
	both(t, oneFunction+`
	- {name: two, handler: echo}
	onFailure: [{name: tell, handler: echo}]`, func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			err := wildout.Parallel(ctx,
				func(ctx context.Context) error { _, err := wildout.Invoke[any](ctx, "call", "g", nil); return err },
				func(ctx context.Context) error { _, err := wildout.Invoke[any](ctx, "over", "g", nil); return err },
				func(ctx context.Context) error {
					_, err := wildout.WaitForEvent[any](ctx, "paid", wildout.WaitOptions{Event: "any", Timeout: time.Hour})
					return err
				},
				func(ctx context.Context) error { return wildout.Sleep(ctx, "nap", time.Hour) })
			return 1, err
		})
		out := b.must()
		want(t, "kind", out.Kind, engine.Parked)
		slices.Sort(out.Awaits)
		wantAll(t, "awaits", out.Awaits, []string{"one/call", "one/over", "one/paid"})
		b.deliver("one/over", &run.Result{Output: json.RawMessage("1"), Attempts: 1, Start: time.Now().UnixMilli()})
		time.Sleep(time.Minute)
		b.run.Cancel = &engine.Cancel{}
		b.run.Cancel.Ask("enough")
		out = b.must()
		cancelled(t, out, "enough")
		want(t, "children", len(out.Children), 1)
		want(t, "child", out.Children[0].Path, "one/call")
		want(t, "function of the child", out.Children[0].Function, "g")
		want(t, "waits to take back", len(out.Waits), 1)
		want(t, "wait", out.Waits[0], run.Wait{Path: "one/paid", EventType: "any"})
		wantAll(t, "steps", statuses(out), []string{"one cancelled", "two pending"})
		want(t, "a wait within", named(t, out.Steps, "one/paid").Status, run.StepCancelled)
		want(t, "its time", named(t, out.Steps, "one/paid").Millis, time.Minute.Milliseconds())
		want(t, "what has ended within", named(t, out.Steps, "one/over").Status, run.StepOK)
		wantAll(t, "calls", b.called(), []string{"one#1"})
	})
}

// TestWaitsInOnFailure, and in a step whose failure the run survives.
func TestWaitsInOnFailure(t *testing.T) {
	both(t, `
	steps:
	- {name: soft, handler: work, with: {fail: true}, onError: Continue}
	- {name: hard, handler: work, with: {fail: true, before: "${steps.soft.error}"}}
	onFailure: [{name: tell, handler: work, with: {fail: false, before: "${error.message}"}}]`, func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, in map[string]any) (any, error) {
			if err := wildout.Sleep(ctx, "nap", time.Hour); err != nil {
				return nil, err
			}
			if in["fail"] == true {
				return nil, wildout.NonRetriable(fmt.Errorf("%s, after %v", wildout.Info(ctx).Step, in["before"]))
			}
			return in["before"], nil
		})
		out := b.finish()
		failed(t, out, "hard", "hard, after soft, after <nil>")
		want(t, "time", b.age(), 3*time.Hour)
		want(t, "output of onFailure", string(named(t, out.Steps, "tell").Output), `"hard, after soft, after <nil>"`)
		wantAll(t, "calls", b.called(), []string{"soft#1", "soft#1", "hard#1", "hard#1", "tell#1", "tell#1"})
		wantAll(t, "steps", timeline(b, out.Steps), []string{"soft failed 3600+0", "soft/nap ok 0+3600", "hard failed 3600+0", "hard/nap ok 3600+3600",
			"tell ok 10800+0", "tell/nap ok 7200+3600"})
	})
}

// TestDeadlineOfAHandlerThatWaits ends the run as if it were any step.
func TestDeadlineOfAHandlerThatWaits(t *testing.T) {
	both(t, oneFunction+"\n\tdeadline: 30m", func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			return 1, wildout.Sleep(ctx, "nap", time.Hour)
		})
		failed(t, b.finish(), "one", "deadline: the run began at")
		want(t, "time", b.age(), 30*time.Minute)
	})
}

// TestAnInterruptedCallIsRepeated, with what it has asked for.
func TestAnInterruptedCallIsRepeated(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			if len(b.called()) == 1 {
				defer func() { <-ctx.Done() }() // as it is unwound
			}
			return 1, wildout.Sleep(ctx, "nap", time.Hour)
		})
		ctx, stop := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { stop(engine.ErrInterrupted) })
		out, err := b.execute(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "kind", out.Kind, engine.Interrupted)
		succeeded(t, b.finish(), "1")
		want(t, "time", b.age(), time.Hour+time.Second)
		wantAll(t, "calls", b.called(), slices.Repeat([]string{"one#1"}, 3))
	})
}

// TestADeathBetweenWriteAndPark: the wait, or the invoked run, is in the journal,
// and that the handler waits is not.
func TestADeathBetweenWriteAndPark(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			var paid *wildout.Received[int]
			err := wildout.Parallel(ctx,
				func(ctx context.Context) error { _, err := wildout.Invoke[any](ctx, "call", "g", nil); return err },
				func(ctx context.Context) (err error) {
					paid, err = wildout.WaitForEvent[int](ctx, "paid", wildout.WaitOptions{Event: "any", Timeout: time.Hour})
					return err
				})
			if err != nil {
				return nil, err
			}
			return paid.Data, nil
		})
		b.must()
		for path := range b.journal.progress {
			if !strings.Contains(path, "/") {
				delete(b.journal.progress, path)
			}
		}
		time.Sleep(time.Minute)
		out := b.must()
		want(t, "kind", out.Kind, engine.Parked)
		want(t, "due, of the first registration", out.Due.Sub(b.began), time.Hour)
		want(t, "children", len(b.journal.children), 1)
		b.deliver("one/paid", arrived("3"))
		b.deliver("one/call", &run.Result{Output: json.RawMessage("1"), Attempts: 1})
		succeeded(t, b.must(), "3")
	})
}

// TestTheJournalFailsInAnOperation: that is not the handler's failure.
func TestTheJournalFailsInAnOperation(t *testing.T) {
	for name, do := range map[string]func(ctx context.Context) error{
		"send": func(ctx context.Context) error {
			_, err := wildout.SendEvent(ctx, "s", wildout.Event{Type: "b"})
			return err
		},
		"invoke": func(ctx context.Context) error { _, err := wildout.Invoke[any](ctx, "i", "g", nil); return err },
		"wait": func(ctx context.Context) error {
			_, err := wildout.WaitForEvent[any](ctx, "w", wildout.WaitOptions{Event: "any", Timeout: time.Hour})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, oneFunction, func(t *testing.T, b *bed) {
				b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) { return nil, do(ctx) })
				b.journal.err = errors.New("no journal")
				if _, err := b.execute(context.Background()); !errors.Is(err, b.journal.err) {
					t.Errorf("got %v, want the journal's error: the run must not end", err)
				}
				want(t, "events", len(b.journal.sent), 0)
			})
		})
	}
}

// TestAHandlerThatHangsAsksTooLate: what was given up does nothing durable any
// more.
func TestAHandlerThatHangsAsksTooLate(t *testing.T) {
	both(t, oneFunction, func(t *testing.T, b *bed) {
		late := make(chan error, 1)
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			if wildout.Info(ctx).Attempt == 1 {
				time.Sleep(time.Minute) // deaf
				late <- wildout.Sleep(ctx, "nap", time.Hour)
				return 1, nil
			}
			return 2, nil
		})
		succeeded(t, b.finish(), "2")
		time.Sleep(time.Minute)
		wantText(t, "error", (<-late).Error(), "its attempt was given up")
	})
}
