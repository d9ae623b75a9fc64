package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// nap is a handler that takes its time.
func (b *bed) nap(d time.Duration) {
	b.handle("nap", func(ctx context.Context, in map[string]any) (any, error) {
		select {
		case <-time.After(d):
			return in, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

func TestStepsOfAGraph(t *testing.T) {
	both(t, `
	steps:
	- {name: a, needs: [], handler: nap}
	- {name: b, needs: [a], handler: nap}
	- {name: c, needs: [a], handler: nap}
	- {name: d, needs: [b, c], handler: nap, with: {all: done}}`,
		func(t *testing.T, b *bed) {
			b.nap(time.Second)
			succeeded(t, b.finish(), `{"all":"done"}`)
			want(t, "time, of two branches side by side", b.age(), 3*time.Second)
			calls := b.called()
			slices.Sort(calls[1:3])
			wantAll(t, "calls", calls, []string{"a#1", "b#1", "c#1", "d#1"})
		})
}

func TestAStepWaitsForTheCommitOfWhatItNeeds(t *testing.T) {
	both(t, `
	steps:
	- {name: one, handler: echo}
	- {name: two, handler: mark}`,
		func(t *testing.T, b *bed) {
			b.journal.takes = time.Second
			var at time.Duration
			b.handle("mark", func(context.Context, map[string]any) (any, error) { at = b.age(); return nil, nil })
			b.finish()
			want(t, "start of the second step", at, time.Second)
		})
}

func TestTheLastResultTravelsWithTheEnd(t *testing.T) {
	steps := `
	steps:
	- {name: one, handler: echo}
	- {name: two, handler: echo, needs: [one]}
	- {name: three, handler: echo, with: {num: 3}}`
	for name, tc := range map[string]struct {
		more string
		want []string
	}{
		"plain":                      {"", []string{"one", "two"}},
		"pure steps after it":        {"\n\t- {name: four, set: 4}\n\t- {name: five, assert: [{that: \"true\"}]}", []string{"one", "two"}},
		"a list after it":            {"\n\t- {name: four, forEach: \"${[1]}\", handler: echo}", []string{"one", "two", "three", "four[0]"}},
		"output":                     {"\n\toutput: \"${steps.three.output.num}\"", []string{"one", "two"}},
		"onFailure, nothing can":     {"\n\tonFailure: [{name: tell, handler: echo}]", []string{"one", "two"}},
		"onFailure after pure steps": {"\n\t- {name: four, set: 4}\n\tonFailure: [{name: tell, handler: echo}]", []string{"one", "two", "three"}},
		"onFailure after output":     {"\n\toutput: \"${steps.three.output.num}\"\n\tonFailure: [{name: tell, handler: echo}]", []string{"one", "two", "three"}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, steps+tc.more, func(t *testing.T, b *bed) {
				want(t, "kind", b.finish().Kind, engine.Finished)
				wantAll(t, "commits", b.journal.committed(), tc.want)
			})
		})
	}
}

func TestRetryOfABranchWhileItsSiblingWorks(t *testing.T) {
	both(t, `
	steps:
	- {name: flaky, needs: [], handler: flaky, retryPolicy: {initialInterval: 1s, jitter: "0"}}
	- {name: quick, needs: [], handler: echo}
	- {name: slow, needs: [quick], handler: nap}`,
		func(t *testing.T, b *bed) {
			b.nap(time.Minute)
			b.journal.takes = 10 * time.Millisecond // so that flaky has failed when slow begins
			var at time.Duration
			b.handle("flaky", func(ctx context.Context, _ map[string]any) (any, error) {
				if wildout.Info(ctx).Attempt == 1 {
					return nil, errors.New("not yet")
				}
				at = b.age()
				return nil, nil
			})
			want(t, "kind", b.finish().Kind, engine.Finished)
			want(t, "second attempt", at, time.Second)
			want(t, "end", b.age().Truncate(time.Second), time.Minute)
		})
}

func TestMaxParallel(t *testing.T) {
	both(t, `
	steps: [{name: all, forEach: "${event.data.list + event.data.list}", maxParallel: 3, handler: count, with: {num: "${item}"}}]`,
		func(t *testing.T, b *bed) {
			var inside, most atomic.Int32
			b.handle("count", func(_ context.Context, in map[string]any) (any, error) {
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(time.Second)
				inside.Add(-1)
				return in["num"], nil
			})
			succeeded(t, b.finish(), `[1,2,3,4,1,2,3,4]`)
			want(t, "at once", most.Load(), 3)
			want(t, "time", b.age(), 3*time.Second)
		})
}

func TestElementsThatFail(t *testing.T) {
	spec := `
	steps:
	- {name: all, forEach: "${[2, 1, 4, 6]}", maxParallel: 2, handler: even, with: {num: "${item}"}, onError: ERROR}
	- {name: after, set: "${steps.all.error}"}
	- {name: places, forEach: "${steps.all.elements}", set: "${index * 10 + item.index}"}
	- {name: none, waitForEvent: {event: b, timeout: 1h}}
	output: >-
	  ${ {'list': steps.all.output, 'error': steps.after.output, 'failed': steps.all.failed,
	  'bad': steps.all.elements.filter(e, e.error != ''), 'places': steps.places.output, 'late': steps.none.timedOut, 'early': steps.after.timedOut} }`
	even := func(b *bed) {
		b.handle("even", func(_ context.Context, in map[string]any) (any, error) {
			if n := in["num"].(float64); int(n)%2 != 0 {
				return nil, wildout.NonRetriable(errors.New("odd"))
			}
			return in["num"], nil
		})
	}
	t.Run("Continue", func(t *testing.T) {
		both(t, strings.Replace(spec, "ERROR", "Continue", 1), func(t *testing.T, b *bed) {
			even(b)
			out := b.finish()
			succeeded(t, out, `{"bad":[{"index":1,"item":1,"output":null,"error":"odd"}],"early":false,"error":"odd","failed":1,"late":true,"list":[2,null,4,6],"places":[0,11,22,33]}`)
			want(t, "calls", len(b.called()), 4)
			want(t, "record", named(t, out.Steps, "all").Error, "1 of 4 elements failed, the first is [1]: odd")
		})
	})
	t.Run("Fail", func(t *testing.T) {
		both(t, strings.Replace(spec, "ERROR", "Fail", 1), func(t *testing.T, b *bed) {
			even(b)
			failed(t, b.finish(), "all[1]", "odd")
		})
	})
}

func TestAFailureEndsTheOtherBranches(t *testing.T) {
	both(t, `
	steps:
	- {name: bad, needs: [], handler: bad, retryPolicy: {maxAttempts: 1}}
	- {name: slow, needs: [], handler: nap}
	- {name: never, needs: [slow], handler: echo}`,
		func(t *testing.T, b *bed) {
			b.nap(time.Hour)
			b.handle("bad", func(context.Context, map[string]any) (any, error) {
				time.Sleep(time.Second)
				return nil, errors.New("bad")
			})
			out := b.finish()
			failed(t, out, "bad", "bad")
			want(t, "time", b.age(), time.Second)
			want(t, "status of never", out.Steps[2].Status, run.StepPending)
			wantAll(t, "commits", b.journal.committed(), nil)
		})
}

func TestWhatComesTooLateIsNotWritten(t *testing.T) {
	both(t, `
	steps:
	- {name: bad, needs: [], handler: bad, retryPolicy: {maxAttempts: 1}}
	- {name: deaf, needs: [], handler: deaf}
	- {name: more, needs: [deaf], handler: echo}`,
		func(t *testing.T, b *bed) {
			b.handle("bad", func(context.Context, map[string]any) (any, error) { return nil, errors.New("bad") })
			var late sync.WaitGroup
			late.Add(1)
			b.handle("deaf", func(ctx context.Context, _ map[string]any) (any, error) {
				defer late.Done()
				time.Sleep(time.Minute)
				_, err := wildout.Step(ctx, "sub", func(context.Context) (int, error) { return 1, nil })
				return 1, err
			})
			failed(t, b.finish(), "bad", "bad")
			if b.age() > 3*time.Second {
				t.Errorf("it took %s to give the handler up", b.age())
			}
			late.Wait()
			time.Sleep(time.Minute)
			wantAll(t, "commits", b.journal.committed(), nil)
		})
}
