package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// cancelled checks that a run was cancelled with the reason.
func cancelled(t *testing.T, out engine.Outcome, reason string) {
	t.Helper()
	if out.Kind != engine.Cancelled {
		t.Fatalf("kind: got %d (%+v), want cancelled", out.Kind, out.Failure)
	}
	want(t, "reason", out.Failure.Message, reason)
}

// cancelIn asks for the end of the run of a bed after a while.
func (b *bed) cancelIn(d time.Duration) {
	b.run.Cancel = &engine.Cancel{}
	time.AfterFunc(d, func() {
		b.run.Cancel.Ask("enough")
		b.run.Cancel.Ask("the second reason does not count")
	})
}

func TestCancelDuringAnAttempt(t *testing.T) {
	both(t, `
	steps:
	- {name: one, needs: [], handler: patient}
	- {name: two, needs: [], handler: patient}
	- {name: three, handler: echo}
	onFailure: [{name: tell, handler: echo}]`, func(t *testing.T, b *bed) {
		causes := make(chan error, 2)
		b.handle("patient", func(ctx context.Context, _ map[string]any) (any, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, ctx.Err()
		})
		b.cancelIn(5 * time.Second)
		out := b.must()
		cancelled(t, out, "enough")
		want(t, "time", b.age(), 5*time.Second)
		for range 2 {
			cause := <-causes
			want(t, "cause is ErrCancelled", errors.Is(cause, wildout.ErrCancelled), true)
			wantText(t, "cause", cause.Error(), "enough")
		}
		wantAll(t, "calls", b.called(), b.called()[:2])
		wantAll(t, "steps", statuses(out), []string{"one cancelled", "two cancelled", "three pending"})
		want(t, "time of a step", out.Steps[0].Millis, 5000)
	})
}

func TestCancelOfADeafHandler(t *testing.T) {
	both(t, `
	steps: [{name: one, handler: deaf}]`, func(t *testing.T, b *bed) {
		b.handle("deaf", func(context.Context, map[string]any) (any, error) { time.Sleep(30 * time.Second); return nil, nil })
		b.cancelIn(time.Second)
		cancelled(t, b.must(), "enough")
		if b.age() > 2500*time.Millisecond {
			t.Errorf("it took %s", b.age())
		}
	})
}

// TestCancelMeetsAnEnd lets the request come while the last step ends.
func TestCancelMeetsAnEnd(t *testing.T) {
	for name, failure := range map[string]error{"ok": nil, "failed": wildout.NonRetriable(errors.New("no"))} {
		t.Run(name, func(t *testing.T) {
			both(t, `
	steps: [{name: one, handler: asks}]
	onFailure: [{name: tell, handler: echo}]`, func(t *testing.T, b *bed) {
				b.run.Cancel = &engine.Cancel{}
				b.handle("asks", func(context.Context, map[string]any) (any, error) {
					b.run.Cancel.Ask("")
					return 1, failure
				})
				out := b.must()
				cancelled(t, out, "")
				wantAll(t, "calls", b.called(), []string{"one#1"})
				if failure == nil {
					wantAll(t, "steps", statuses(out), []string{"one ok"})
				}
			})
		})
	}
}

func TestCancelDuringOnFailure(t *testing.T) {
	both(t, `
	steps: [{name: one, handler: broken}]
	onFailure:
	- {name: tell, handler: patient}
	- {name: record, handler: echo}`, func(t *testing.T, b *bed) {
		b.handle("broken", func(context.Context, map[string]any) (any, error) { return nil, wildout.NonRetriable(errors.New("no")) })
		b.handle("patient", func(ctx context.Context, _ map[string]any) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		b.cancelIn(time.Second)
		out := b.must()
		cancelled(t, out, "enough")
		wantAll(t, "steps", statuses(out), []string{"one failed", "tell cancelled", "record pending"})
		// The same once more from the journal, where the request was there first.
		again := b.must()
		cancelled(t, again, "enough")
		wantAll(t, "steps", statuses(again), []string{"one failed", "tell cancelled", "record pending"})
		wantAll(t, "calls", b.called(), []string{"one#1", "tell#1"})
	})
}

// TestCancelOfAParkedRun begins nothing, tells what is to be taken back and
// which runs were invoked.
func TestCancelOfAParkedRun(t *testing.T) {
	both(t, `
	steps:
	- {name: one, handler: echo}
	- {name: calls, forEach: "${[1, 2, 3]}", maxParallel: 3, invoke: {function: g}}
	- {name: call, needs: [one], invoke: {function: h}}
	- {name: paid, needs: [one], waitForEvent: {event: b, match: data.id, timeout: 1h}}
	- {name: retry, needs: [one], handler: broken, retryPolicy: {initialInterval: 1m}}
	- {name: last, handler: echo}`, func(t *testing.T, b *bed) {
		b.handle("broken", func(context.Context, map[string]any) (any, error) { return nil, errors.New("not yet") })
		want(t, "kind", b.must().Kind, engine.Parked)
		b.journal.results["calls[1]"] = childResult(b.began, time.Now(), &engine.Outcome{})
		calls := b.called()
		time.Sleep(2 * time.Minute) // the retry is due, and not taken
		b.run.Cancel = &engine.Cancel{}
		b.run.Cancel.Ask("enough")
		out := b.must()
		cancelled(t, out, "enough")
		wantAll(t, "calls", b.called(), calls)
		wantAll(t, "steps", statuses(out), []string{"one ok", "calls cancelled", "call cancelled", "paid cancelled", "retry cancelled", "last pending"})
		var children []string
		for _, c := range out.Children {
			children = append(children, c.Function+" "+c.Path)
			if c.RunID == "" {
				t.Errorf("child %s has no id", c.Path)
			}
		}
		wantAll(t, "children", children, []string{"g calls[0]", "g calls[2]", "h call"})
		want(t, "waits to take back", len(out.Waits), 1)
		want(t, "tries of the retry", len(named(t, out.Steps, "retry").Tries), 1)
	})
}

func TestChildResultOfACancelledRun(t *testing.T) {
	for reason, message := range map[string]string{"": "the invoked run was cancelled", "enough": "the invoked run was cancelled: enough"} {
		both(t, `
	steps: [{name: call, invoke: {function: g}}]`, func(t *testing.T, b *bed) {
			b.must()
			b.journal.results["call"] = childResult(b.began, time.Now(), &engine.Outcome{Kind: engine.Cancelled, Failure: &run.Failure{Message: reason}})
			out := b.must()
			failed(t, out, "call", message)
			want(t, "message", out.Failure.Message, message)
		})
	}
}
