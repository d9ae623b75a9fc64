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
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// decider is a stepper that nobody compiled: it looks at the results and decides.
type decider func(so engine.Results) engine.Next

func (d decider) Next(so engine.Results) engine.Next { return d(so) }

// decides runs a test on a run that follows a decider.
func decides(t *testing.T, d decider, test func(t *testing.T, b *bed)) {
	p := compile(t, "\tsteps: [{name: unused, set: 1}]")
	for name, beside := range map[string]bool{"here": false, "beside": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, p, func(t *testing.T, b *bed) {
				b.beside = beside
				b.run.Steps = d
				test(t, b)
			})
		})
	}
}

// constant is any JSON.
func constant(v any) *plan.Value {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return plan.Constant(raw)
}

// call is a step that calls a handler, with three attempts.
func call(name, handler string, with any) *plan.Step {
	return &plan.Step{Name: name, Timeout: time.Minute, Action: &plan.Handler{Name: handler, With: constant(with)},
		Retry: plan.Retry{MaxAttempts: 3, InitialInterval: time.Minute, Multiplier: 1, MaxInterval: time.Hour}}
}

// application decides like an application that is asked after each round what
// it wants next: it names the steps of a round, some side by side, and reads in
// their results what the next round is.
func application(so engine.Results) engine.Next {
	for round := 1; ; round++ {
		question := fmt.Sprintf("ask-%d", round)
		answer, answered := so.Step(question)
		if !answered {
			return engine.Next{Steps: []*plan.Step{call(question, "application", round)}}
		}
		var wanted []struct {
			Name, Do string
			With     json.RawMessage
		}
		if err := json.Unmarshal(answer.Output, &wanted); err != nil { // no list: the end
			return engine.Next{Done: true, Output: answer.Output}
		}
		var steps []*plan.Step
		open := false
		for _, w := range wanted {
			step := &plan.Step{Name: w.Name, ContinueOnError: true}
			switch w.Do {
			case "run":
				step = call(w.Name, "work", w.Name)
			case "sleep":
				step.Action = &plan.Sleep{For: time.Hour}
			case "wait":
				match, _ := plan.ParsePath("data.id")
				step.Action = &plan.WaitForEvent{Event: "b", Match: match, Timeout: 2 * time.Hour}
			case "invoke":
				step.Action = &plan.Invoke{Function: "child", Data: plan.Constant(w.With)}
			case "send":
				step.Action = &plan.SendEvent{Events: []plan.Send{{Type: "c", Data: plan.Constant(w.With), ID: constant("mine")}}}
			}
			steps = append(steps, step)
			if _, ended := so.Step(w.Name); !ended {
				open = true
			}
		}
		if open {
			return engine.Next{Steps: steps}
		}
	}
}

// TestAnApplicationThatDecides is a third stepper, with the machine as it is: it
// sleeps, waits, invokes, sends, and is tried again, one after the other and
// side by side.
func TestAnApplicationThatDecides(t *testing.T) {
	decides(t, application, func(t *testing.T, b *bed) {
		b.handleAny("application", func(ctx context.Context, round int) (any, error) {
			if wildout.Info(ctx).Step == "ask-2" && wildout.Info(ctx).Attempt == 1 {
				return nil, errors.New("the application is away")
			}
			switch round {
			case 1:
				return json.RawMessage(`[{"name":"reserve","do":"run"}]`), nil
			case 2:
				return json.RawMessage(`[{"name":"nap","do":"sleep"},{"name":"flaky","do":"run"},{"name":"paid","do":"wait"},{"name":"ship","do":"invoke","with":{"n":1}}]`), nil
			case 3:
				return json.RawMessage(`[{"name":"tell","do":"send","with":{"m":2}}]`), nil
			}
			return map[string]any{"rounds": round}, nil
		})
		b.handleAny("work", func(ctx context.Context, name string) (any, error) {
			if name == "flaky" && wildout.Info(ctx).Attempt == 1 {
				return nil, errors.New("not yet")
			}
			return name, nil
		})
		out := b.parks()
		want(t, "due of the second attempt to ask", out.Due.Sub(b.began), time.Minute)
		time.Sleep(time.Minute)
		out = b.parks("paid", "ship")
		want(t, "due of the second attempt of a step", out.Due.Sub(b.began), 2*time.Minute)
		want(t, "data of the child", string(b.journal.children[0].Event.Data), `{"n":1}`)
		b.deliver("ship", &run.Result{Error: "the invoked run failed: no", Attempts: 1, Start: time.Now().UnixMilli()})
		b.deliver("paid", arrived("1"))
		out = b.finish()
		succeeded(t, out, `{"rounds":4}`)
		want(t, "time: the sleep", b.age(), time.Hour+time.Minute)
		want(t, "events", len(b.journal.sent), 1)
		want(t, "id of the event", b.journal.sent[0].Event.ID, "mine")
		want(t, "children", len(b.journal.children), 1)
		wantAll(t, "steps, in the order in which they were named", statuses(out), []string{
			"ask-1 ok", "reserve ok", "ask-2 ok", "nap ok", "flaky ok", "paid ok", "ship failed", "ask-3 ok", "tell ok", "ask-4 ok"})
		calls := b.called()
		slices.Sort(calls)
		wantAll(t, "calls", calls, []string{"ask-1#1", "ask-2#1", "ask-2#2", "ask-3#1", "ask-4#1", "flaky#1", "flaky#2", "reserve#1"})
		want(t, "waits to take back", len(out.Waits), 1)
	})
}

// TestADecidedRunSurvivesEveryDeath begins each execution with less and less of
// what the one before has not written down for good, and does nothing twice.
func TestADecidedRunSurvivesEveryDeath(t *testing.T) {
	for deaths := range 8 {
		decides(t, application, func(t *testing.T, b *bed) {
			done := map[string]int{}
			b.handleAny("application", func(_ context.Context, round int) (any, error) {
				if round > 3 {
					return "end", nil
				}
				return json.RawMessage(fmt.Sprintf(`[{"name":"a%d","do":"run"},{"name":"b%[1]d","do":"run"},{"name":"nap%[1]d","do":"sleep"}]`, round)), nil
			})
			b.handleAny("work", func(_ context.Context, name string) (any, error) {
				b.mu.Lock()
				defer b.mu.Unlock()
				done[name]++
				return name, nil
			})
			// The commit of one step fails, in each execution that of another one: it
			// may take with it what goes on beside that step.
			most := map[string]int{"1": 1, "2": 1, "3": 1} // how often a step of each round may be done
			for _, bad := range []string{"ask-1", "a1", "b1", "ask-2", "a2", "ask-3", "b3"}[:min(deaths, 7)] {
				b.journal.bad = bad
				most[bad[len(bad)-1:]]++
				for range 20 {
					out, err := b.execute(context.Background())
					if err != nil {
						break
					}
					time.Sleep(time.Until(out.Due))
				}
			}
			b.journal.bad = ""
			out := b.finish()
			succeeded(t, out, `"end"`)
			commits := b.journal.committed()
			slices.Sort(commits)
			wantAll(t, "commits, each once", commits, []string{"a1", "a2", "a3", "ask-1", "ask-2", "ask-3", "ask-4", "b1", "b2", "b3"})
			for name, n := range done {
				if bound := most[name[1:]]; n > bound {
					t.Errorf("%s was done %d times, want at most %d", name, n, bound)
				}
			}
			want(t, "steps", len(done), 6)
		})
	}
}

// handleAny registers a handler of any input, whose calls are noted.
func (b *bed) handleAny(name string, fn any) {
	note := func(ctx context.Context) {
		info := wildout.Info(ctx)
		b.mu.Lock()
		b.calls = append(b.calls, fmt.Sprintf("%s#%d", info.Step, info.Attempt))
		b.mu.Unlock()
	}
	switch fn := fn.(type) {
	case func(context.Context, int) (any, error):
		wildout.Add(b.engine.Handlers, name, func(ctx context.Context, in int) (any, error) { note(ctx); return fn(ctx, in) })
	case func(context.Context, string) (any, error):
		wildout.Add(b.engine.Handlers, name, func(ctx context.Context, in string) (any, error) { note(ctx); return fn(ctx, in) })
	default:
		b.t.Fatalf("a handler of %T", fn)
	}
}

// TestAnEndBeforeAllHasEnded: the first of several that is there may be enough.
func TestAnEndBeforeAllHasEnded(t *testing.T) {
	for name, tc := range map[string]struct {
		end    func(output json.RawMessage) engine.Next
		check  func(t *testing.T, out engine.Outcome)
		follow bool
	}{
		"well": {func(output json.RawMessage) engine.Next { return engine.Next{Done: true, Output: output} },
			func(t *testing.T, out engine.Outcome) { succeeded(t, out, `"first"`) }, false},
		"badly": {func(json.RawMessage) engine.Next {
			return engine.Next{Done: true, Failure: &run.Failure{Message: "the application failed", Step: "quick"}}
		}, func(t *testing.T, out engine.Outcome) { failed(t, out, "quick", "the application failed") }, false},
		"badly, with steps for that case": {func(json.RawMessage) engine.Next {
			return engine.Next{Done: true, Failure: &run.Failure{Message: "the application failed"}}
		}, func(t *testing.T, out engine.Outcome) {
			failed(t, out, "", "the application failed")
			want(t, "step of onFailure", named(t, out.Steps, "tell").Status, run.StepOK)
			want(t, "its output", string(named(t, out.Steps, "tell").Output), `"the application failed"`)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			decides(t, func(so engine.Results) engine.Next {
				if first, ended := so.Step("quick"); ended {
					return tc.end(first.Output)
				}
				return engine.Next{Steps: []*plan.Step{
					{Name: "rest", Action: &plan.Sleep{For: time.Hour}},
					{Name: "paid", Action: &plan.WaitForEvent{Event: "b", Timeout: time.Hour}},
					{Name: "ship", Action: &plan.Invoke{Function: "child"}},
					call("slow", "patient", 1), call("quick", "quick", 1)}}
			}, func(t *testing.T, b *bed) {
				if tc.follow {
					b.run.OnFailure = decider(func(so engine.Results) engine.Next {
						if _, ended := so.Step("tell"); ended {
							return engine.Next{Done: true}
						}
						return engine.Next{Steps: []*plan.Step{{Name: "tell", Action: compile(t, "\tsteps: [{name: a, set: 1}]\n\tonFailure: [{name: tell, set: \"${error.message}\"}]").OnFailure[0].Action}}}
					})
				}
				stopped := false
				b.handleAny("patient", func(ctx context.Context, _ int) (any, error) { <-ctx.Done(); stopped = true; return nil, ctx.Err() })
				b.handleAny("quick", func(context.Context, int) (any, error) { time.Sleep(time.Second); return "first", nil })
				out := b.must()
				tc.check(t, out)
				want(t, "time", b.age(), time.Second)
				want(t, "what was at work has been stopped", stopped, true)
				want(t, "waits to take back", len(out.Waits), 1)
			})
		})
	}
}

// TestAnEndThatComesWithTheInterruption is an end.
func TestAnEndThatComesWithTheInterruption(t *testing.T) {
	decides(t, func(so engine.Results) engine.Next {
		if only, ended := so.Step("only"); ended {
			return engine.Next{Done: true, Output: only.Output}
		}
		return engine.Next{Steps: []*plan.Step{call("only", "quick", 1)}}
	}, func(t *testing.T, b *bed) {
		ctx, stop := context.WithCancelCause(context.Background())
		b.handleAny("quick", func(context.Context, int) (any, error) { stop(engine.ErrInterrupted); return 1, nil })
		out, err := b.execute(ctx)
		if err != nil {
			t.Fatal(err)
		}
		succeeded(t, out, "1")
	})
}

// TestSteppersThatAreWrong make an error that says whose it is.
func TestSteppersThatAreWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		next engine.Next
		text string
	}{
		"nothing comes next":  {engine.Next{}, "can neither go on nor wait"},
		"a step without name": {engine.Next{Steps: []*plan.Step{{Action: &plan.Sleep{For: 1}}}}, `the step ""`},
		"a path":              {engine.Next{Steps: []*plan.Step{{Name: "a/b", Action: &plan.Sleep{For: 1}}}}, `the step "a/b"`},
		"a field of the run":  {engine.Next{Steps: []*plan.Step{{Name: "@o", Action: &plan.Sleep{For: 1}}}}, `the step "@o"`},
		"no action":           {engine.Next{Steps: []*plan.Step{{Name: "a"}}}, `the step "a"`},
		"too much output":     {engine.Next{Done: true, Output: json.RawMessage(`"` + strings.Repeat("x", wildout.MaxOutputBytes) + `"`)}, "the output of the run is 1048578 bytes, the limit is 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			decides(t, func(engine.Results) engine.Next { return tc.next }, func(t *testing.T, b *bed) {
				out, err := b.execute(context.Background())
				switch {
				case err != nil:
					wantText(t, "error", err.Error(), tc.text)
				case out.Kind == engine.Failed:
					wantText(t, "failure", out.Failure.Message, tc.text)
				default:
					t.Errorf("no error, but %+v", out)
				}
			})
		})
	}
}

// TestALimitHoldsForAnyStepper: the time-out of the run, and its deadline.
func TestALimitHoldsForAnyStepper(t *testing.T) {
	for name, tc := range map[string]struct {
		limit func(r *engine.Run)
		text  string
		age   time.Duration
	}{
		"timeout":  {func(r *engine.Run) { r.Timeout = 5 * time.Second }, "the run was active for more than 5s", 5 * time.Second},
		"deadline": {func(r *engine.Run) { r.Deadline = 7 * time.Second }, "had not ended after 7s", 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			decides(t, func(engine.Results) engine.Next { return engine.Next{Steps: []*plan.Step{call("slow", "patient", 1)}} }, func(t *testing.T, b *bed) {
				tc.limit(&b.run)
				b.handleAny("patient", func(ctx context.Context, _ int) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
				failed(t, b.finish(), "slow", tc.text)
				want(t, "time", b.age(), tc.age)
			})
		})
	}
}

// TestAPlanIsFollowed with all that it says of the run.
func TestAPlanIsFollowed(t *testing.T) {
	p := compile(t, "\ttimeout: 10m\n\tdeadline: 1h\n\tsteps: [{name: one, set: 1}]\n\tonFailure: [{name: two, set: 2}]")
	var r engine.Run
	r.Follow(p)
	want(t, "function", r.Function, "f")
	want(t, "version", r.Version, p.Hash)
	want(t, "timeout", r.Timeout, 10*time.Minute)
	want(t, "deadline", r.Deadline, time.Hour)
	want(t, "steps for a failure", r.OnFailure != nil, true)
	r.Follow(compile(t, "\tsteps: [{name: one, set: 1}]"))
	want(t, "limits", r.Timeout+r.Deadline, 0)
	want(t, "no steps for a failure", r.OnFailure == nil, true)
}
