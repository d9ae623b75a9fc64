package admission_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// ends are all ways in which a run ends.
var ends = map[run.Status]admission.Outcome{
	run.Succeeded: {Status: run.Succeeded, Output: json.RawMessage(`1`)},
	run.Failed:    {Status: run.Failed, Output: json.RawMessage(`1`), Failure: &run.Failure{Message: "broke", Step: "one", OnFailure: "this too"}},
	run.Cancelled: {Status: run.Cancelled, Failure: &run.Failure{Message: "enough"}, Children: []run.Child{{Function: "g", RunID: "c", Path: "call"}}},
	run.Skipped:   {Status: run.Skipped, Skip: admission.Dropped},
	run.Rejected:  {Status: run.Rejected, Failure: &run.Failure{Message: "no event"}},
}

func (b *bed) end(r *admission.Run, o admission.Outcome) admission.Ending {
	b.t.Helper()
	if err := b.End(context.Background(), r, o); err != nil {
		b.t.Fatal(err)
	}
	return b.last()
}

// Whoever writes ends has them from this package: an Ending cannot be made, nor
// implemented, outside of it, and there is no empty one.
func TestOnlyAdmissionMakesEndings(t *testing.T) {
	e := reflect.TypeFor[admission.Ending]()
	want(t, "kind", e.Kind(), reflect.Interface)
	own := 0
	for i := range e.NumMethod() {
		if !e.Method(i).IsExported() {
			own++
		}
	}
	want(t, "methods that no other package can have", own, 1)
}

// An outcome that is none ends nothing.
func TestOutcomesThatAreNone(t *testing.T) {
	for name, tc := range map[string]struct {
		outcome admission.Outcome
		text    string
	}{
		"empty":                      {admission.Outcome{}, `"" is no end`},
		"a run that waits":           {admission.Outcome{Status: run.Waiting}, `"waiting" is no end`},
		"a failure without a reason": {admission.Outcome{Status: run.Failed}, "failed does not go with its reason"},
		"cancelled without a reason": {admission.Outcome{Status: run.Cancelled}, "cancelled does not go with its reason"},
		"rejected without a reason":  {admission.Outcome{Status: run.Rejected}, "rejected does not go with its reason"},
		"skipped without a reason":   {admission.Outcome{Status: run.Skipped}, "skipped does not go with its reason"},
		"a success that failed":      {admission.Outcome{Status: run.Succeeded, Failure: &run.Failure{Message: "no"}}, "succeeded does not go with its reason"},
	} {
		t.Run(name, func(t *testing.T) {
			b := function(t, "history: {limit: 1}")
			r := b.run(`{}`)
			err := b.End(context.Background(), r, tc.outcome)
			if err == nil || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), "end run "+r.Ref.RunID+" of f") {
				t.Errorf("error: got %v, want %q", err, tc.text)
			}
			want(t, "ends", len(b.port.ended)+len(b.told), 0)
		})
	}
}

func TestEveryEndTellsTheParent(t *testing.T) {
	texts := map[run.Status]string{
		run.Succeeded: "",
		run.Failed:    "the invoked run failed: broke",
		run.Cancelled: "the invoked run was cancelled: enough",
		run.Skipped:   "the invoked run did not begin: the rate limit of f dropped it",
		run.Rejected:  "the invoked run could not be started: no event",
	}
	for status, outcome := range ends {
		b := function(t, "history: {limit: 1}")
		e := b.end(b.run(`{}`, invoked), outcome)
		result, err := run.DecodeResult("call", e.Result())
		if err != nil {
			t.Fatalf("%s: %v", status, err)
		}
		want(t, string(status), result.Error, texts[status])
		want(t, string(status)+": output", result.Error == "", result.Output != nil && string(result.Output) == "1")
		want(t, string(status)+": attempts", result.Attempts, 1)
		want(t, string(status)+": duration", result.Duration, time.Minute.Milliseconds())
		want(t, string(status)+": without a parent", b.end(b.run(`{}`), outcome).Result() == nil, true)
		if len(b.told) != 2 || b.told[0] != status {
			t.Errorf("%s: the listener was told %v", status, b.told)
		}
	}
}

// A run that certainly never began, or was cancelled, has not done what its key
// stands for.
func TestKeyIsSettledOrFreed(t *testing.T) {
	const spec = "idempotency: {key: event.data.id, ttl: 1h}\nrateLimit: {limit: 1, period: 1s}"
	beginnings := map[string]func(*admission.Run){
		"never began": func(*admission.Run) {},
		"redelivered": redelivered,
		"stepped":     stepped,
		"begun":       func(r *admission.Run) { r.Decision = run.Begun },
	}
	for beginning, change := range beginnings {
		for _, status := range []run.Status{run.Succeeded, run.Failed, run.Cancelled, run.Skipped} {
			b := function(t, spec)
			name := beginning + ", " + string(status)
			key, outcome := b.end(b.run(`{"id":"x"}`, change), ends[status]).Key()
			want(t, name+": key", key, "x")
			want(t, name+": kept", outcome != nil, beginning != "never began" && status != run.Cancelled)
		}
	}
	b := function(t, spec)
	b.port.starts = 1
	r := b.run(`{"id":"x"}`)
	want(t, "verdict", b.admit(r), admission.Begins)
	_, outcome := b.end(r, ends[run.Failed]).Key()
	want(t, "outcome", string(outcome), `{"o":1,"f":{"message":"broke","step":"one","onFailure":"this too"}}`)
	for name, change := range map[string]func(*admission.Run){
		"a replay":          replayed,
		"one that follows":  func(r *admission.Run) { r.Identity.Follows = "other" },
		"without a version": func(r *admission.Run) { r.Plan = nil },
		"without the value": func(r *admission.Run) { r.Identity.Event.Data = json.RawMessage(`{}`) },
	} {
		key, _ := b.end(b.run(`{"id":"x"}`, stepped, change), ends[run.Succeeded]).Key()
		want(t, name, key, "")
	}
	key, outcome := b.end(b.run(`{"id":"x"}`), ends[run.Rejected]).Key()
	want(t, "rejected", key, "x")
	want(t, "rejected, kept", outcome != nil, false)
	if err := b.Reject(context.Background(), b.run(`{"id":"x"}`), "no event"); err != nil {
		t.Fatal(err)
	}
	key, _ = b.last().Key()
	want(t, "no event", key, "")
	want(t, "no event: has one", b.last().Record().Event != nil, false)
}

func TestEndLeavesTheLines(t *testing.T) {
	b := function(t, "throttle: {limit: 1, period: 1s, key: event.data.id}\nconcurrency: [{limit: 1, key: event.data.none}, {limit: 1, key: event.data.id}]")
	queues, planned := b.end(b.run(`{"id":"x"}`), ends[run.Cancelled]).Lines()
	want(t, "lines of a run that did not wait", len(queues) == 0 && planned == nil, true)
	waited := func(r *admission.Run) {
		r.Identity.Queued = began
		r.Identity.Throttled = began
	}
	queues, planned = b.end(b.run(`{"id":"x"}`, waited), ends[run.Cancelled]).Lines()
	want(t, "queues", len(queues), 1)
	want(t, "queue", slotName(queues[0]), "2 x")
	want(t, "planned", planned.Value, "x")
	_, planned = b.end(b.run(`{}`, waited), ends[run.Cancelled]).Lines()
	want(t, "planned without a value", planned == nil, true)
}

func TestRecord(t *testing.T) {
	b := function(t, "history: {limit: 1}")
	big := `"` + strings.Repeat("x", 5<<10) + `"`
	for name, tc := range map[string]struct {
		status run.Status
		change func(*admission.Run)
		event  bool
		text   string
	}{
		"succeeded":              {status: run.Succeeded},
		"succeeded, of cron":     {status: run.Succeeded, change: func(r *admission.Run) { r.Identity.Event.Type = event.CronType }, event: true},
		"succeeded, invoked":     {status: run.Succeeded, change: func(r *admission.Run) { r.Identity.Event.Type = event.InvokeType }, event: true},
		"succeeded, replayed":    {status: run.Succeeded, change: replayed, event: true},
		"succeeded, of much":     {status: run.Succeeded, change: func(r *admission.Run) { replayed(r); r.Identity.Event.Data = json.RawMessage(big) }},
		"failed":                 {status: run.Failed, event: true, text: "broke; and onFailure failed: this too"},
		"cancelled":              {status: run.Cancelled, event: true, text: "enough"},
		"rejected":               {status: run.Rejected, event: true, text: "no event"},
		"failed, follows others": {status: run.Failed, change: func(r *admission.Run) { r.Identity.Follows = "other" }, event: true, text: "broke; and onFailure failed: this too"},
	} {
		r := b.run(`{}`)
		if tc.change != nil {
			tc.change(r)
		}
		o := ends[tc.status]
		o.Steps = []run.StepRecord{{Name: "one"}}
		rec := b.end(r, o).Record()
		want(t, name+": status", rec.Status, tc.status)
		want(t, name+": has its event", rec.Event != nil, tc.event)
		want(t, name+": error", rec.Error, tc.text)
		want(t, name+": output", len(rec.Output) > 0, tc.status == run.Succeeded)
		want(t, name+": id", rec.ID, r.Ref.RunID)
		want(t, name+": version", rec.Version, "v1")
		want(t, name+": steps", len(rec.Steps), 1)
		want(t, name+": follows", rec.Follows, r.Identity.Follows)
		want(t, name+": replay", rec.ReplayOf, r.Identity.ReplayOf)
		want(t, name+": started", rec.StartedAt, began)
		want(t, name+": ended", *rec.EndedAt, b.Now())
		want(t, name+": step that failed", rec.ErrorStep == "one", tc.status == run.Failed)
	}
}

func TestEndOfARunThatIsToBeCancelled(t *testing.T) {
	b := function(t, "history: {limit: 1}")
	b.port.asked = &run.CancelRequest{Reason: "enough"}
	o := ends[run.Succeeded]
	o.Waits = []run.Wait{{Path: "w"}}
	e := b.end(b.run(`{}`, invoked), o)
	want(t, "status", e.Status(), run.Cancelled)
	want(t, "error", e.Record().Error, "enough")
	want(t, "waits", len(e.Waits()), 1)
	reason, children := b.end(b.run(`{}`), ends[run.Cancelled]).Cancels()
	want(t, "reason", reason, "enough")
	want(t, "children", slices.Equal(children, ends[run.Cancelled].Children), true)
	_, children = b.end(b.run(`{}`), ends[run.Rejected]).Cancels()
	want(t, "children of another end", len(children), 0)
}

func TestEndThatIsNotWrittenIsToldToNobody(t *testing.T) {
	b := function(t, "history: {limit: 1}")
	b.port.fail["End"] = errors.New("away")
	want(t, "error", b.End(context.Background(), b.run(`{}`), ends[run.Failed]) != nil, true)
	want(t, "told", len(b.told), 0)
}

func TestReject(t *testing.T) {
	b := function(t, "history: {limit: 1}")
	if err := b.Reject(context.Background(), b.run(`{}`, invoked), "no event"); err != nil {
		t.Fatal(err)
	}
	want(t, "status", b.last().Status(), run.Rejected)
	want(t, "entry", b.last().Ref().Entry, "1-1")
}

func TestDeliver(t *testing.T) {
	b := function(t, "history: {limit: 1}")
	at := time.UnixMilli(2000)
	old := event.DerivedID(at.Add(-time.Second), "x")
	starts := event.DerivedID(at, "y")
	b.port.waiting = map[string][]run.Waiter{
		`a data.id "x"`: {{RunID: old, Path: "one"}, {RunID: starts, Path: "one"}},
		"a  ":           {{RunID: old, Path: "two", HasIf: true}},
		"b  ":           {{RunID: old, Path: "other type"}},
	}
	e := &event.Event{ID: "e", Type: "a", Data: json.RawMessage(`{"id":"x"}`)}
	deliver := func() string {
		b.port.delivered = nil
		if err := b.Deliver(context.Background(), e, "2000-0", starts); err != nil {
			t.Fatal(err)
		}
		return strings.Join(b.port.delivered, ", ")
	}
	want(t, "before anybody waits", deliver(), "")
	if err := b.WaitFor([]run.WaitPath{{EventType: "a", Match: "data.id"}, {EventType: "a"}, {EventType: "b"}, {EventType: "a", Match: "data.none"}}); err != nil {
		t.Fatal(err)
	}
	want(t, "paths", b.Waits(), 4)
	want(t, "told", deliver(), old+" one 2000-0 result=true, "+old+" two if 2000-0 result=false")
	b.port.fail["Deliver"] = errors.New("away")
	want(t, "error", b.Deliver(context.Background(), e, "2000-0", "") != nil, true)
	b.port.fail = map[string]error{"Waiters": errors.New("away")}
	want(t, "error", b.Deliver(context.Background(), e, "2000-0", "") != nil, true)
	want(t, "error of a stored path", b.WaitFor([]run.WaitPath{{EventType: "a", Match: "]["}}) != nil, true)
}

// A limit without a key has no queue, and hides none behind it.
func TestEndLeavesTheQueueOfALaterLimit(t *testing.T) {
	b := function(t, "concurrency: [{limit: 5}, {limit: 1, key: event.data.id}]")
	queues, _ := b.end(b.run(`{"id":"x"}`, func(r *admission.Run) { r.Identity.Queued = began }), ends[run.Cancelled]).Lines()
	want(t, "queues", len(queues), 1)
	want(t, "queue", slotName(queues[0]), "2 x")
}

// Who gives back a slot says how many there are: the store wakes as many.
func TestLeaveSaysHowManySlotsThereAre(t *testing.T) {
	b := function(t, "concurrency: [{limit: 3, key: event.data.id}]")
	b.port.free["1 x"] = 3
	r := b.run(`{"id":"x"}`)
	want(t, "verdict", b.admit(r), admission.Begins)
	want(t, "noted for releases that know no decisions", r.Identity.Admitted, true)
	if err := b.Leave(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	want(t, "told", len(b.port.released), 1)
	want(t, "most", b.port.released[0].Max, 3)
	want(t, "held", b.port.released[0].Held, 0)
}
