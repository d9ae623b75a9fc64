package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

func TestSleep(t *testing.T) {
	both(t, `
	steps:
	- {name: one, sleep: 10s}
	- {name: two, sleepUntil: "${run.startedAt + duration('30s')}"}
	- {name: three, sleepUntil: "1970-01-01T00:00:00Z"}
	- {name: four, handler: echo}`,
		func(t *testing.T, b *bed) {
			out := b.must()
			want(t, "kind", out.Kind, engine.Parked)
			want(t, "due", out.Due.Sub(b.began), 10*time.Second)
			want(t, "kind, too early", b.must().Kind, engine.Parked)
			want(t, "end", b.finish().Kind, engine.Finished)
			want(t, "time", b.age(), 30*time.Second)
		})
}

// TestASleepThatIsOverIsOver: a run that was not parked during a sleep does not
// sleep again after it was parked for something else.
func TestASleepThatIsOverIsOver(t *testing.T) {
	both(t, `
	steps:
	- {name: nap, needs: [], sleep: 5s}
	- {name: busy, needs: [], handler: nap}
	- {name: rest, needs: [nap, busy], sleep: 1h}
	- {name: bad, assert: [{that: "false"}]}
	onFailure:
	- {name: pause, sleep: 1h}
	- {name: tell, handler: echo, with: {rested: "${steps.rest.attempts}"}}`,
		func(t *testing.T, b *bed) {
			b.nap(10 * time.Second)
			out := b.must()
			want(t, "due of the rest", out.Due.Sub(b.began), time.Hour+10*time.Second)
			time.Sleep(time.Until(out.Due))
			out = b.must()
			want(t, "due in onFailure", out.Due.Sub(b.began), 2*time.Hour+10*time.Second)
			out = b.finish()
			want(t, "time", b.age(), 2*time.Hour+10*time.Second)
			wantAll(t, "timeline", timeline(b, out.Steps), []string{
				"nap ok 0+5", "busy ok 0+10", "rest ok 10+3600", "bad failed 3610+0", "pause ok 3610+3600", "tell ok 7210+0"})
			want(t, "input of tell", string(named(t, out.Steps, "tell").Output), `{"rested":1}`)
		})
}

func TestWaitForEvent(t *testing.T) {
	spec := `
	steps: [{name: one, waitForEvent: {event: b, match: data.id, timeout: 1m}}]
	output: "${steps.one.output == null ? 'nothing' : steps.one.output.id}"`
	found := &event.Event{ID: "e2", Type: "b", Data: json.RawMessage(`{"id":7}`)}

	t.Run("found at once", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			b.journal.found = func(engine.Wait) *event.Event { return found }
			succeeded(t, b.finish(), `"e2"`)
			w := b.journal.waits[0]
			want(t, "value", w.Value, "7")
			want(t, "from", w.From, "")
			wantAll(t, "commits", b.journal.committed(), []string{"one"})
		})
	})
	t.Run("delivered while parked", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			out := b.must()
			want(t, "kind", out.Kind, engine.Parked)
			want(t, "due", out.Due.Sub(b.began), time.Minute)
			wantAll(t, "awaits", out.Awaits, []string{"one"})
			want(t, "waits", len(out.Waits), 1)
			text, _ := json.Marshal(found)
			b.journal.results["one"] = run.EventResult(text, time.Now()).Encode()
			out = b.must()
			succeeded(t, out, `"e2"`)
			want(t, "waits to take back", len(out.Waits), 1)
			want(t, "registrations", len(b.journal.waits), 1)
		})
	})
	t.Run("timed out", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			out := b.finish()
			succeeded(t, out, `"nothing"`)
			want(t, "time", b.age(), time.Minute)
			want(t, "waits to take back", len(out.Waits), 1)
			wantAll(t, "commits", b.journal.committed(), []string{"one"})
		})
	})
	t.Run("timed out while the event comes", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			b.must()
			time.Sleep(time.Minute)
			// It is delivered after the run was loaded, before the time-out is committed.
			b.journal.takes = time.Second
			time.AfterFunc(time.Millisecond, func() {
				b.journal.mu.Lock()
				defer b.journal.mu.Unlock()
				b.journal.results["one"] = run.EventResult([]byte(`{"id":"e2"}`), time.Now()).Encode()
			})
			succeeded(t, b.must(), `"e2"`)
		})
	})
	t.Run("the event has no such value", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			b.run.Event.Data = json.RawMessage(`{"other":7}`)
			failed(t, b.finish(), "one", "no text, number or boolean at data.id")
		})
	})
}

func TestWaitWithACondition(t *testing.T) {
	both(t, `
	steps:
	- {name: least, set: "${event.data.id}"}
	- {name: one, waitForEvent: {event: b, if: "async.data.num > steps.least.output", timeout: 1m}}
	- {name: two, handler: echo, with: {num: "${steps.one.output.data.num}"}}`,
		func(t *testing.T, b *bed) {
			out := b.must()
			wantAll(t, "awaits", out.Awaits, []string{"one", run.CandidateField("one")})
			for n, fits := range map[string]bool{`{"num":7}`: false, `{"num":8}`: true} {
				got, err := b.journal.waits[0].Fits(&event.Event{Data: json.RawMessage(n)})
				if err != nil || got != fits {
					t.Errorf("%s: got %v, %v", n, got, err)
				}
			}
			if _, err := b.journal.waits[0].Fits(&event.Event{Data: json.RawMessage(`{}`)}); err == nil {
				t.Error("an event without the field must give an error")
			}
			// Woken for a candidate: it looks again, from where it had looked to.
			b.journal.found = func(w engine.Wait) *event.Event {
				want(t, "from", w.From, "7-0")
				return &event.Event{ID: "e3", Data: json.RawMessage(`{"num":9}`)}
			}
			out = b.must()
			succeeded(t, out, `{"num":9}`)
			want(t, "registrations", len(b.journal.waits), 2)
			want(t, "waits to take back", len(out.Waits), 1)
		})
}

func TestWaitsOfAnEarlierExecutionAreTakenBack(t *testing.T) {
	both(t, `
	steps:
	- {name: wait, needs: [], waitForEvent: {event: b, match: data.id, timeout: 1s}}
	- {name: cond, needs: [], waitForEvent: {event: b, if: "async.data.x", timeout: 2s}}
	- {name: nap, needs: [wait, cond], sleep: 1m}
	- {name: end, assert: [{that: "false"}]}
	onFailure: [{name: pause, sleep: 1m}]`,
		func(t *testing.T, b *bed) {
			out := b.finish()
			failed(t, out, "end", "assertion failed: false")
			var paths []string
			for _, w := range out.Waits {
				paths = append(paths, w.Path)
			}
			slices.Sort(paths)
			wantAll(t, "waits", paths, []string{"cond", "wait"})
			wantAll(t, "steps", statuses(out), []string{"wait ok", "cond ok", "nap ok", "end failed", "pause ok"})
		})
}

func statuses(out engine.Outcome) []string {
	var all []string
	for _, s := range out.Steps {
		if !strings.ContainsAny(s.Name, "[/") { // no part
			all = append(all, s.Name+" "+string(s.Status))
		}
	}
	return all
}

func TestInvoke(t *testing.T) {
	spec := `
	steps: [{name: call, invoke: {function: g, data: {id: "${event.data.id}"}, timeout: 1m}}]`
	t.Run("succeeds", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			b.run.StartedAt = b.began.Add(-time.Hour)
			out := b.must()
			want(t, "kind", out.Kind, engine.Parked)
			wantAll(t, "awaits", out.Awaits, []string{"call"})
			child := b.journal.children[0]
			want(t, "function", child.Function, "g")
			want(t, "data", string(child.Event.Data), `{"id":7}`)
			want(t, "type", child.Event.Type, event.InvokeType)
			at, _ := event.IDTime(child.RunID)
			want(t, "time in the id", at.UnixMilli(), b.began.UnixMilli())
			b.must()
			want(t, "children", len(b.journal.children), 1)
			b.journal.results["call"] = childResult(b.began, time.Now(), &engine.Outcome{Output: json.RawMessage(`{"x":1}`)})
			succeeded(t, b.must(), `{"x":1}`)
		})
	})
	t.Run("fails", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			b.must()
			b.journal.results["call"] = childResult(b.began, time.Now(), &engine.Outcome{Kind: engine.Failed, Failure: &run.Failure{Message: "oh"}})
			failed(t, b.must(), "call", "the invoked run failed: oh")
		})
	})
	t.Run("waits for a function that is not there", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			b.journal.absent = map[string]bool{"g": true}
			out := b.must()
			want(t, "kind", out.Kind, engine.Parked)
			want(t, "children", len(b.journal.children), 0)
			prog, err := run.DecodeProgress("call", out.Progress["call"])
			if err != nil {
				t.Fatal(err)
			}
			want(t, "reason", prog.Reason(), run.NoSuchFunction)
			want(t, "looks again", out.Due.UnixMilli(), b.began.Add(2*time.Second).UnixMilli())
			b.journal.absent = nil
			delete(b.journal.progress, "call")
			b.must()
			want(t, "children, once it is there", len(b.journal.children), 1)
		})
	})
	t.Run("does not wait for one for longer than it may", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			b.journal.absent = map[string]bool{"g": true}
			failed(t, b.finish(), "call", "there has been no function g for 1m0s (invoke.timeout)")
			want(t, "time", b.age(), time.Minute)
		})
	})
	t.Run("takes too long", func(t *testing.T) {
		both(t, spec, func(t *testing.T, b *bed) {
			failed(t, b.finish(), "call", "had not ended after 1m0s (invoke.timeout)")
			want(t, "time", b.age(), time.Minute)
		})
	})
}

func TestSendEvent(t *testing.T) {
	both(t, `
	steps:
	- {name: tell, sendEvent: [{name: b, data: {id: "${event.data.id}"}}, {name: c}, {name: b, id: "${'mine-' + event.id}"}]}
	- {name: bad, sendEvent: [{name: b, id: "${''}"}]}`,
		func(t *testing.T, b *bed) {
			b.run.Event.TraceParent = "00-trace"
			failed(t, b.finish(), "bad", "sendEvent[0].id")
			want(t, "events", len(b.journal.sent), 3)
			first, last := b.journal.sent[0], b.journal.sent[2]
			want(t, "data", string(first.Event.Data), `{"id":7}`)
			want(t, "trace", first.Event.TraceParent, "00-trace")
			want(t, "subject", first.Event.Subject, "run1")
			want(t, "dedupe without an id", first.Dedupe, false)
			want(t, "dedupe with one", last.Dedupe, true)
			want(t, "id", last.Event.ID, "mine-e1")
			want(t, "data left out", string(b.journal.sent[1].Event.Data), `{}`)
			var ids struct {
				O []string `json:"o"`
			}
			if err := json.Unmarshal(b.journal.results["tell"], &ids); err != nil {
				t.Fatal(err)
			}
			for i, e := range b.journal.sent {
				want(t, "id in the output", ids.O[i], e.Event.ID)
			}
			if first.Event.ID == b.journal.sent[1].Event.ID || len(first.Event.ID) != 26 {
				t.Errorf("ids: %v", ids.O)
			}
		})
}

// TestSendEventIsCheckedAsEveryOther has what the gateway refuses too.
func TestSendEventIsCheckedAsEveryOther(t *testing.T) {
	for id, message := range map[string]string{
		"${''}":        "sendEvent[0].id: it is the empty text",
		"${'a\\\\nb'}": "sendEvent[0]: id must be at most 256 bytes",
		"${lists.range(600).map(i, 'x').join('')}":       "sendEvent[0]: id must be at most 256 bytes",
		"${['" + strings.Repeat("x", 257) + "'].join()}": "sendEvent[0]: id must be at most 256 bytes",
	} {
		both(t, "\n\tsteps:\n\t- {name: bad, sendEvent: [{name: b, id: \""+id+"\"}]}", func(t *testing.T, b *bed) {
			failed(t, b.finish(), "bad", message)
			want(t, "events", len(b.journal.sent), 0)
		})
	}
}

func TestTimeout(t *testing.T) {
	both(t, `
	timeout: 10s
	steps:
	- {name: one, handler: nap}
	- {name: rest, sleep: 1h}
	- {name: two, handler: nap}
	- {name: three, handler: nap}
	onFailure: [{name: tell, handler: echo, with: {step: "${error.step}", one: "${steps.one.attempts}"}}, {name: slow, handler: nap}]`,
		func(t *testing.T, b *bed) {
			b.nap(4 * time.Second)
			out := b.finish()
			failed(t, out, "three", "the run was active for more than 10s (spec.timeout)")
			want(t, "time: 10s at work, an hour of rest, and onFailure without a bound", b.age(), time.Hour+14*time.Second)
			wantAll(t, "calls", b.called(), []string{"one#1", "two#1", "three#1", "tell#1", "slow#1"})
		})
}

func TestDeadline(t *testing.T) {
	both(t, `
	deadline: 10s
	steps:
	- {name: one, handler: echo, with: {num: 1}}
	- {name: left, needs: [one], sleep: 5s}
	- {name: right, needs: [one], sleep: 1h}
	onFailure:
	- {name: tell, handler: echo, with: {step: "${error.step}", num: "${steps.one.output.num}"}}
	- {name: pause, sleep: 1h}
	- {name: again, handler: echo, with: {num: "${steps.one.output.num}"}}`,
		func(t *testing.T, b *bed) {
			out := b.finish()
			failed(t, out, "right", "had not ended after 10s (spec.deadline)")
			want(t, "time", b.age(), time.Hour+10*time.Second)
			wantAll(t, "calls", b.called(), []string{"one#1", "tell#1", "again#1"})
			wantAll(t, "steps", statuses(out), []string{"one ok", "left ok", "right failed", "tell ok", "pause ok", "again ok"})
		})
}

func TestOnFailureThatFails(t *testing.T) {
	both(t, `
	steps: [{name: one, handler: bad, retryPolicy: {maxAttempts: 1}}]
	onFailure: [{name: tell, handler: bad, retryPolicy: {maxAttempts: 2, initialInterval: 1s}}]`,
		func(t *testing.T, b *bed) {
			b.handle("bad", func(context.Context, map[string]any) (any, error) { return nil, errors.New("bad") })
			out := b.finish()
			failed(t, out, "one", "bad")
			want(t, "onFailure", out.Failure.OnFailure, "bad")
			wantAll(t, "calls", b.called(), []string{"one#1", "tell#1", "tell#2"})
		})
}

func TestAListThatIsTooLong(t *testing.T) {
	both(t, `
	steps: [{name: all, forEach: "${event.data.list}", handler: echo}]`,
		func(t *testing.T, b *bed) {
			list, _ := json.Marshal(map[string]any{"list": make([]int, engine.MaxElements+1)})
			b.run.Event.Data = list
			failed(t, b.finish(), "all", "10001 elements, the limit is 10000")
		})
}

func TestAnEmptyListAndASkippedStep(t *testing.T) {
	both(t, `
	steps:
	- {name: all, forEach: "${[]}", handler: echo}
	- {name: skip, if: "size(steps.all.output) > 0", handler: echo}
	output: "${[steps.all.output, steps.skip.output]}"`,
		func(t *testing.T, b *bed) {
			out := b.finish()
			succeeded(t, out, `[[],null]`)
			wantAll(t, "steps", statuses(out), []string{"all ok", "skip skipped"})
		})
}
