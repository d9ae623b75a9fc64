package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// fake is a Port in memory. What it cannot show is what a crash leaves: the
// scripts of the store have tests of their own.
type fake struct {
	mu      sync.Mutex
	fail    map[string]error // by method
	keys    map[string]admission.Holder
	free    map[string]int // slots by "limit value"
	starts  int            // starts of the rate limit, and of the throttle
	planned int
	waiting map[string][]run.Waiter // by type, match and value

	held      map[string]int // as it was told
	released  []admission.Slot
	delivered []string
	parked    []admission.Park
	passes    []admission.Rate
	takes     []admission.Take
	ended     []admission.Ending
	asked     *run.CancelRequest // refuses every other end
}

func newFake() *fake {
	return &fake{fail: map[string]error{}, keys: map[string]admission.Holder{}, free: map[string]int{}, held: map[string]int{}, waiting: map[string][]run.Waiter{}}
}

func slotName(s admission.Slot) string { return fmt.Sprint(s.Limit, " ", s.Value) }

func (f *fake) Waiters(_ context.Context, p run.WaitPath, value string) ([]run.Waiter, error) {
	return f.waiting[strings.Join([]string{p.EventType, p.Match, value}, " ")], f.fail["Waiters"]
}

func (f *fake) Deliver(_ context.Context, w run.Wait, runID string, result []byte, entry string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delivered = append(f.delivered, fmt.Sprintf("%s %s result=%t", w.Member(runID), entry, len(result) > 0))
	return f.fail["Deliver"]
}

func (f *fake) Once(_ context.Context, r *run.Ref, key string, _ time.Duration, _ bool) (admission.Holder, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail["Once"]; err != nil {
		return admission.Holder{}, err
	}
	holder, taken := f.keys[key]
	if taken && holder.RunID != r.RunID {
		return holder, nil
	}
	f.keys[key] = admission.Holder{RunID: r.RunID}
	return admission.Holder{}, nil
}

func (f *fake) Pass(_ context.Context, _ *run.Ref, limit *admission.Rate) (run.Decision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passes = append(f.passes, *limit)
	if f.starts == 0 || f.fail["Pass"] != nil {
		return run.Dropped, f.fail["Pass"]
	}
	f.starts--
	return run.Counted, nil
}

func (f *fake) Begin(_ context.Context, _ *run.Ref, take *admission.Take) (admission.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes = append(f.takes, *take)
	if err := f.fail["Begin"]; err != nil {
		return admission.Answer{}, err
	}
	if take.Throttle != nil && f.starts == 0 {
		f.planned++
		return admission.Answer{Wait: time.Duration(f.planned) * time.Second}, nil
	}
	for i, s := range take.Slots {
		if s.Held-f.held[slotName(s)] > f.free[slotName(s)] {
			return admission.Answer{Full: i + 1}, nil
		}
	}
	if take.Throttle != nil {
		f.starts--
	}
	for _, s := range take.Slots {
		f.state(s)
	}
	return admission.Answer{Decision: run.Begun}, nil
}

// state notes what is held, as the store does.
func (f *fake) state(s admission.Slot) {
	f.free[slotName(s)] += f.held[slotName(s)] - s.Held
	f.held[slotName(s)] = s.Held
}

func (f *fake) Release(_ context.Context, s admission.Slot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail["Release"]; err != nil {
		return err
	}
	if s.Held >= 0 {
		f.state(s)
	}
	f.released = append(f.released, s)
	return nil
}

func (f *fake) Park(_ context.Context, r *admission.Run, p admission.Park) error {
	if !r.Restate {
		return fmt.Errorf("run %s is parked before it began, and its identity is not stored", r.Ref.RunID)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parked = append(f.parked, p)
	return f.fail["Park"]
}

func (f *fake) End(_ context.Context, e admission.Ending) (bool, error) {
	if err := f.fail["End"]; err != nil {
		return false, err
	}
	if f.asked != nil && e.Status() != run.Cancelled {
		return false, f.asked
	}
	f.ended = append(f.ended, e)
	return true, nil
}

// began is the time of all tests.
var began = time.UnixMilli(1_700_000_000_000).UTC()

// bed is a function with its admission.
type bed struct {
	t *testing.T
	*admission.Admission
	port *fake
	plan *plan.Plan
	runs int
	told []run.Status
}

// Ended implements admission.Listener.
func (b *bed) Ended(e admission.Ending) { b.told = append(b.told, e.Status()) }

// function compiles a function of one step.
func function(t *testing.T, spec string) *bed {
	t.Helper()
	if !strings.Contains(spec, "triggers") {
		spec = "triggers: [{event: a}]\n" + spec
	}
	text := "apiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: f}\nspec:\n  steps: [{name: one, set: 1}]\n"
	for line := range strings.SplitSeq(spec, "\n") {
		text += "  " + line + "\n"
	}
	functions, _, err := plan.ReadManifests("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile("f", &functions[0].Spec, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	port := newFake()
	return &bed{t: t, plan: p, port: port, Admission: &admission.Admission{Function: "f", Now: func() time.Time { return began.Add(time.Minute) }, Port: port}}
}

// run is a new run with that data.
func (b *bed) run(data string, change ...func(*admission.Run)) *admission.Run {
	b.runs++
	r := &admission.Run{Plan: b.plan, Listener: b}
	r.Ref = run.Ref{Function: "f", RunID: fmt.Sprint("run", b.runs), Stream: "s", Entry: "1-1", Version: "v1", Runner: "r"}
	r.Identity = run.Identity{Event: event.Event{ID: "e", Type: "a", Data: json.RawMessage(data)}, StartedAt: began}
	for _, c := range change {
		c(r)
	}
	return r
}

func invoked(r *admission.Run) {
	r.Ref.Parent = &run.Parent{Function: "caller", RunID: "parent", Path: "call"}
	r.Identity.Parent = r.Ref.Parent
}

func replayed(r *admission.Run) { r.Identity.ReplayOf = "another" }

func redelivered(r *admission.Run) { r.Redelivered = true }

func stepped(r *admission.Run) { r.Stepped = true }

// admit admits a run and fails the test on an error.
func (b *bed) admit(r *admission.Run) admission.Verdict {
	b.t.Helper()
	v, err := b.Admit(context.Background(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// last is the last end.
func (b *bed) last() admission.Ending {
	b.t.Helper()
	if len(b.port.ended) == 0 {
		b.t.Fatal("no run has ended")
	}
	return b.port.ended[len(b.port.ended)-1]
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
