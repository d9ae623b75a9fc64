package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

const oneStep = `
	steps: [{name: one, handler: work, timeout: 10s, retryPolicy: {maxAttempts: 3, initialInterval: 1s, multiplier: "3", maxInterval: 5s, jitter: "0"}}]`

func TestRetries(t *testing.T) {
	for name, tc := range map[string]struct {
		err     error
		calls   int
		age     time.Duration
		message string
	}{
		"plain":            {errors.New("bad"), 3, 4 * time.Second, "bad"},
		"not retriable":    {wildout.NonRetriable(errors.New("bad")), 1, 0, "bad"},
		"with a wait":      {wildout.RetryAfter(time.Minute, errors.New("bad")), 3, 2 * time.Minute, "bad"},
		"a wait of none":   {wildout.RetryAfter(0, errors.New("bad")), 3, 2 * time.Millisecond, "bad"},
		"wrapped":          {fmt.Errorf("more: %w", wildout.NonRetriable(errors.New("bad"))), 1, 0, "more: bad"},
		"the context's":    {context.Canceled, 3, 4 * time.Second, "context canceled"},
		"a very long text": {errors.New(longText), 3, 4 * time.Second, "… (cut)"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, oneStep, func(t *testing.T, b *bed) {
				b.handle("work", func(context.Context, map[string]any) (any, error) { return nil, tc.err })
				out := b.finish()
				failed(t, out, "one", tc.message)
				want(t, "calls", len(b.called()), tc.calls)
				want(t, "attempts", out.Failure.Attempts, tc.calls)
				want(t, "time", b.age(), tc.age)
				if len(out.Failure.Message) > 9<<10 {
					t.Errorf("the message has %d bytes", len(out.Failure.Message))
				}
			})
		})
	}
}

var longText = string(make([]byte, 1<<20))

func TestPanics(t *testing.T) {
	both(t, oneStep, func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			if wildout.Info(ctx).Attempt < 3 {
				panic("oh no")
			}
			return "at last", nil
		})
		succeeded(t, b.finish(), `"at last"`)
		wantAll(t, "calls", b.called(), []string{"one#1", "one#2", "one#3"})
	})
}

func TestAHandlerThatHangsIsGivenUp(t *testing.T) {
	both(t, `
	steps:
	- {name: one, handler: hang, timeout: 10s, retryPolicy: {maxAttempts: 1}, onError: Continue}
	- {name: two, handler: echo, with: {error: "${steps.one.error}"}}`,
		func(t *testing.T, b *bed) {
			release := make(chan struct{})
			b.handle("hang", func(context.Context, map[string]any) (any, error) { <-release; return "too late", nil })
			out := b.finish()
			close(release)
			want(t, "kind", out.Kind, engine.Finished)
			wantText(t, "error", string(out.Output), "did not return within 1s of its time-out of 10s")
			if b.age() < 11*time.Second || b.age() > 12*time.Second {
				t.Errorf("it was given up after %s", b.age())
			}
			time.Sleep(time.Minute)
			wantAll(t, "commits", b.journal.committed(), []string{"one"})
		})
}

func TestAHandlerThatEndsWithItsContext(t *testing.T) {
	both(t, oneStep, func(t *testing.T, b *bed) {
		b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
			if d := time.Until(wildout.Info(ctx).Deadline); d != 10*time.Second {
				t.Errorf("deadline in %s", d)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		failed(t, b.finish(), "one", "the attempt took longer than its time-out of 10s")
		want(t, "time", b.age(), 34*time.Second)
	})
}

func TestAnInterruptionCostsNoAttempt(t *testing.T) {
	both(t, `
	steps: [{name: one, handler: work, retryPolicy: {maxAttempts: 2, initialInterval: 1s, jitter: "0"}}]`,
		func(t *testing.T, b *bed) {
			b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
				if len(b.called()) == 1 {
					return nil, errors.New("counts")
				}
				if len(b.called()) > 4 {
					return wildout.Info(ctx).Attempt, nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			})
			want(t, "first", b.must().Kind, engine.Parked)
			time.Sleep(time.Second)
			for range 3 {
				ctx, stop := context.WithCancelCause(context.Background())
				time.AfterFunc(time.Second, func() { stop(engine.ErrInterrupted) })
				out, err := b.execute(ctx)
				if err != nil {
					t.Fatal(err)
				}
				want(t, "kind", out.Kind, engine.Interrupted)
			}
			succeeded(t, b.finish(), "2")
			wantAll(t, "calls", b.called(), []string{"one#1", "one#2", "one#2", "one#2", "one#2"})
		})
}

func TestAnInterruptionDoesNotWaitForADeafHandler(t *testing.T) {
	both(t, oneStep, func(t *testing.T, b *bed) {
		release := make(chan struct{})
		b.handle("work", func(context.Context, map[string]any) (any, error) { <-release; return 1, nil })
		ctx, stop := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { stop(engine.ErrInterrupted) })
		out, err := b.execute(ctx)
		close(release)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "kind", out.Kind, engine.Interrupted)
		if b.age() > 4*time.Second {
			t.Errorf("it took %s", b.age())
		}
		time.Sleep(time.Minute)
		wantAll(t, "commits", b.journal.committed(), nil)
	})
}

func TestSubSteps(t *testing.T) {
	spec := `
	steps:
	- {name: one, needs: [], handler: work, retryPolicy: {initialInterval: 1s, jitter: "0"}}
	- {name: beside, needs: [], handler: nap}
	output: "${steps.one.output}"`
	for name, d := range map[string]time.Duration{"retried in the same execution": time.Minute, "retried in another one": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			both(t, spec, func(t *testing.T, b *bed) {
				b.nap(d)
				var calls []string
				sub := func(ctx context.Context, name string) (int, error) {
					return wildout.Step(ctx, name, func(ctx context.Context) (int, error) {
						calls = append(calls, wildout.Info(ctx).IdempotencyKey)
						inner, err := wildout.Step(ctx, "inner", func(ctx context.Context) (int, error) {
							calls = append(calls, wildout.Info(ctx).IdempotencyKey)
							return 1, nil
						})
						return inner + 1, err
					})
				}
				b.handle("work", func(ctx context.Context, _ map[string]any) (any, error) {
					n, err := sub(ctx, "a")
					if err != nil {
						return nil, err
					}
					if wildout.Info(ctx).Attempt == 1 {
						return nil, errors.New("after the sub-step")
					}
					if _, err := wildout.Step(ctx, "fails", func(context.Context) (int, error) { return 0, errors.New("no") }); err == nil {
						return nil, errors.New("an error of a sub-step is the handler's to return")
					}
					m, err := sub(ctx, "b")
					return n*10 + m, err
				})
				succeeded(t, b.finish(), "22")
				wantAll(t, "calls", calls, []string{"run1/one/a", "run1/one/a/inner", "run1/one/b", "run1/one/b/inner"})
			})
		})
	}
}

func TestTheJournalFails(t *testing.T) {
	for name, spec := range map[string]string{
		"step":     "\tsteps: [{name: one, handler: echo}, {name: two, handler: echo}]",
		"branches": "\tsteps: [{name: one, needs: [], handler: echo}, {name: two, needs: [], handler: echo}]",
		"wait":     "\tsteps: [{name: one, waitForEvent: {event: b, timeout: 1h}}]",
		"invoke":   "\tsteps: [{name: one, invoke: {function: g}}]",
		"send":     "\tsteps: [{name: one, sendEvent: [{name: b}]}]",
		"failure":  "\tsteps: [{name: one, assert: [{that: \"false\"}]}]\n\tonFailure: [{name: tell, handler: echo}]",
		"sub-step": "\tsteps: [{name: one, handler: sub}]",
	} {
		t.Run(name, func(t *testing.T) {
			both(t, spec, func(t *testing.T, b *bed) {
				b.handle("sub", func(ctx context.Context, _ map[string]any) (any, error) {
					return wildout.Step(ctx, "sub", func(context.Context) (int, error) { return 1, nil })
				})
				b.journal.err = errors.New("no journal")
				if _, err := b.execute(context.Background()); !errors.Is(err, b.journal.err) {
					t.Errorf("got %v, want the journal's error: the run must not end", err)
				}
			})
		})
	}
}

func TestABranchWritesNothingOnceTheJournalHasFailed(t *testing.T) {
	both(t, `
	steps:
	- {name: one, needs: [], handler: echo}
	- {name: two, needs: [], handler: slow}
	- {name: three, needs: [one, two], handler: echo}`,
		func(t *testing.T, b *bed) {
			b.journal.bad = "one"
			b.handle("slow", func(context.Context, map[string]any) (any, error) {
				time.Sleep(500 * time.Millisecond)
				return 1, nil
			})
			if _, err := b.execute(context.Background()); err == nil {
				t.Error("no error")
			}
			time.Sleep(time.Minute)
			// Another execution may have the run by now, or have ended it.
			wantAll(t, "commits", b.journal.committed(), nil)
		})
}

func TestTheLoserTakesTheWinnersResult(t *testing.T) {
	both(t, `
	steps:
	- {name: one, handler: work}
	- {name: tell, sendEvent: [{name: b, data: {num: "${steps.one.output}"}}]}
	- {name: two, set: "${ {'one': steps.one.output, 'ids': steps.tell.output} }"}`,
		func(t *testing.T, b *bed) {
			// Another runner commits while the handlers of this one are at work.
			b.handle("work", func(context.Context, map[string]any) (any, error) {
				b.journal.mu.Lock()
				b.journal.results["one"] = []byte(`{"o":"theirs"}`)
				b.journal.results["tell"] = []byte(`{"o":["id of theirs"]}`)
				b.journal.mu.Unlock()
				return "mine", nil
			})
			succeeded(t, b.finish(), `{"ids":["id of theirs"],"one":"theirs"}`)
			want(t, "events sent by the loser", len(b.journal.sent), 0)
		})
}

func TestTheVersionIsInTheFirstWrite(t *testing.T) {
	for name, spec := range map[string]string{
		"step":     "\tsteps: [{name: one, handler: echo}, {name: two, handler: echo}]",
		"branches": "\tsteps: [{name: one, needs: [], handler: echo}, {name: two, needs: [], handler: echo}, {name: three, handler: echo}]",
		"sub-step": "\tsteps: [{name: one, handler: sub}]",
		"wait":     "\tsteps: [{name: one, waitForEvent: {event: b, timeout: 1h}}]",
		"invoke":   "\tsteps: [{name: one, invoke: {function: g}}]",
		"send":     "\tsteps: [{name: one, sendEvent: [{name: b}]}]",
		"failure":  "\tsteps: [{name: one, assert: [{that: \"false\"}]}]\n\tonFailure: [{name: tell, handler: echo}]",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, compile(t, spec), func(t *testing.T, b *bed) {
				b.handle("sub", func(ctx context.Context, _ map[string]any) (any, error) {
					return wildout.Step(ctx, "sub", func(context.Context) (int, error) { return 1, nil })
				})
				b.must()
				// What another runner finds when this one dies before it parks the run.
				want(t, "version", run.VersionOf(b.journal.results, b.journal.progress), b.plan.Hash)
			})
		})
	}
	want(t, "version of nothing", run.VersionOf(nil, map[string][]byte{"x": []byte("{")}), "")
}

func TestWhatAHandlerIsTold(t *testing.T) {
	both(t, `
	steps: [{name: all, forEach: "${[0, 1]}", handler: tell, retryPolicy: {initialInterval: 1s}}]`,
		func(t *testing.T, b *bed) {
			b.run.Event.TraceParent = "00-trace"
			b.handle("tell", func(ctx context.Context, _ map[string]any) (any, error) {
				i := wildout.Info(ctx)
				if i.Attempt == 1 {
					return nil, errors.New("again")
				}
				i.Deadline = time.Time{}
				return i, nil
			})
			out := b.finish()
			var infos []wildout.RunInfo
			if err := json.Unmarshal(out.Output, &infos); err != nil {
				t.Fatal(err)
			}
			for i, info := range infos {
				step := fmt.Sprintf("all[%d]", i)
				want(t, step, info, wildout.RunInfo{RunID: "run1", Function: "f", Step: step, Attempt: 2, IdempotencyKey: "run1/" + step, EventID: "e1", TraceParent: "00-trace"})
			}
		})
}
