package admission_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

const all = `
idempotency: {key: event.data.id, ttl: 1h}
throttle: {limit: 1, period: 1s}
concurrency: [{limit: 2, key: event.data.user}, {limit: 3, key: event.data.id}]`

func TestFunctionWithoutLimitsAsksNobody(t *testing.T) {
	b := function(t, "concurrency: [{limit: 2}]")
	want(t, "verdict", b.admit(b.run(`{}`)), admission.Begins)
	want(t, "questions", len(b.port.takes), 0)
}

func TestRunTakesAllThatItNeedsAtOnce(t *testing.T) {
	b := function(t, all)
	b.port.starts = 5
	b.port.free = map[string]int{"1 u": 2, "2 x": 3}
	r := b.run(`{"id":"x","user":"u"}`)
	want(t, "verdict", b.admit(r), admission.Begins)
	want(t, "key", r.Identity.Once, "x")
	want(t, "decision", r.Decision, run.Begun)
	take := b.port.takes[0]
	want(t, "slots", len(take.Slots), 2)
	want(t, "first slot", take.Slots[0], admission.Slot{Limit: 1, Value: "u", Max: 2, Held: 1})
	want(t, "second slot", take.Slots[1], admission.Slot{Limit: 2, Value: "x", Max: 3, Held: 1})
	want(t, "rate", *take.Throttle, admission.Rate{Limit: 1, Burst: 1, Period: time.Second})
	want(t, "new", take.New, true)
	if err := b.Leave(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	want(t, "held", b.port.held["1 u"]+b.port.held["2 x"], 0)
}

// What was decided before is not decided again.
func TestDecisionIsMadeOnce(t *testing.T) {
	for name, change := range map[string]func(*admission.Run){
		"begun":             func(r *admission.Run) { r.Decision = run.Begun },
		"stepped":           stepped,
		"of an old release": func(r *admission.Run) { r.Identity.Admitted = true },
	} {
		t.Run(name, func(t *testing.T) {
			b := function(t, "throttle: {limit: 1, period: 1s}")
			want(t, "verdict", b.admit(b.run(`{}`, change)), admission.Begins)
			want(t, "questions", len(b.port.takes), 0)
		})
	}
	b := function(t, "concurrency: [{limit: 1, key: event.data.id}]")
	b.port.free["1 x"] = 1
	want(t, "verdict", b.admit(b.run(`{"id":"x"}`, stepped)), admission.Begins)
	want(t, "new", b.port.takes[0].New, false)
}

func TestRunIsPlannedWithoutAStart(t *testing.T) {
	b := function(t, "throttle: {limit: 1, period: 1s}")
	first, second := b.run(`{}`), b.run(`{}`)
	want(t, "verdict", b.admit(first), admission.Parked)
	want(t, "verdict", b.admit(second), admission.Parked)
	now := b.Now()
	want(t, "first", b.port.parked[0].Due, now.Add(time.Second))
	want(t, "second", b.port.parked[1].Due, now.Add(2*time.Second))
	want(t, "since", first.Identity.Throttled, now)
	want(t, "admitted", first.Identity.Admitted, false)
	// It finds none again, and keeps its place.
	b.Now = func() time.Time { return now.Add(time.Hour) }
	want(t, "verdict", b.admit(first), admission.Parked)
	want(t, "since", b.port.takes[2].Since, now)
	b.port.starts = 1
	want(t, "verdict", b.admit(first), admission.Begins)
}

func TestRunIsQueuedWithoutASlot(t *testing.T) {
	b := function(t, "concurrency: [{limit: 1, key: event.data.id}]")
	r := b.run(`{"id":"x"}`)
	want(t, "verdict", b.admit(r), admission.Parked)
	want(t, "queue", slotName(*b.port.parked[0].Queue), "1 x")
	want(t, "front", b.port.parked[0].Front, false)
	want(t, "since", r.Identity.Queued, b.Now())
	want(t, "held", b.port.held["1 x"], 0)
	want(t, "verdict", b.admit(r), admission.Parked)
	want(t, "front", b.port.parked[1].Front, true)
	want(t, "new", b.port.takes[1].New, false)
	b.port.free["1 x"] = 1
	want(t, "verdict", b.admit(r), admission.Begins)
}

func TestRateLimitDrops(t *testing.T) {
	b := function(t, `
idempotency: {key: event.data.id, ttl: 1h}
rateLimit: {limit: 1, period: 1s, key: event.data.user}`)
	want(t, "verdict", b.admit(b.run(`{"id":"x","user":"u"}`, invoked)), admission.Ended)
	e := b.last()
	want(t, "status", e.Status(), run.Skipped)
	want(t, "counted as", e.Skip(), admission.Dropped)
	want(t, "recorded", e.Record() != nil, false)
	key, outcome := e.Key()
	want(t, "key", key, "x")
	want(t, "key is kept", outcome != nil, false)
	if !strings.Contains(string(e.Result()), "the rate limit of f dropped it") {
		t.Errorf("the parent is told %s", e.Result())
	}
	want(t, "value", b.port.passes[0].Value, "u")
	// A person wants a replay.
	want(t, "verdict of a replay", b.admit(b.run(`{"id":"x","user":"u"}`, replayed)), admission.Begins)
	want(t, "questions", len(b.port.passes), 1)
}

// A delivery after a crash reads what was decided.
func TestRateLimitDecidesOnce(t *testing.T) {
	b := function(t, "rateLimit: {limit: 1, period: 1s}\nthrottle: {limit: 1, period: 1s}")
	decided := func(d run.Decision) func(*admission.Run) { return func(r *admission.Run) { r.Decision = d } }
	want(t, "dropped", b.admit(b.run(`{}`, decided(run.Dropped))), admission.Ended)
	want(t, "counted", b.admit(b.run(`{}`, decided(run.Counted))), admission.Parked)
	b.port.starts = 2
	want(t, "neither", b.admit(b.run(`{}`)), admission.Begins)
	want(t, "questions", len(b.port.passes), 1)
	want(t, "throttled", len(b.port.takes), 2)
	b.port.fail["Pass"] = errors.New("away")
	if v, err := b.Admit(context.Background(), b.run(`{}`)); v != admission.Parked || err == nil {
		t.Errorf("a rate limit that cannot be asked: %v, %v", v, err)
	}
}

func TestKeyThatIsHeld(t *testing.T) {
	const spec = "idempotency: {key: event.data.id, ttl: 1h}"
	held := func(t *testing.T, outcome string) *bed {
		b := function(t, spec)
		b.port.keys["x"] = admission.Holder{RunID: "holder"}
		if outcome != "" {
			b.port.keys["x"] = admission.Holder{RunID: "holder", Outcome: []byte(outcome)}
		}
		return b
	}
	const data = `{"id":"x"}`
	t.Run("a duplicate is nothing", func(t *testing.T) {
		b := held(t, "")
		want(t, "verdict", b.admit(b.run(data)), admission.Ended)
		want(t, "counted as", b.last().Skip(), admission.Duplicate)
	})
	t.Run("a run that has begun goes on", func(t *testing.T) {
		b := held(t, "")
		want(t, "stepped", b.admit(b.run(data, stepped)), admission.Begins)
		want(t, "begun", b.admit(b.run(data, func(r *admission.Run) { r.Decision = run.Begun })), admission.Begins)
	})
	t.Run("a replay does not ask", func(t *testing.T) {
		b := held(t, "")
		r := b.run(data, replayed)
		want(t, "verdict", b.admit(r), admission.Begins)
		want(t, "key", r.Identity.Once, "")
	})
	t.Run("an invoked run follows, ever less often, and then has the outcome", func(t *testing.T) {
		b := held(t, "")
		r := b.run(data, invoked)
		want(t, "verdict", b.admit(r), admission.Parked)
		want(t, "follows", r.Identity.Follows, "holder")
		want(t, "pause", b.port.parked[0].Due.Sub(b.Now()), 30*time.Second)
		r.Identity.StartedAt = b.Now()
		want(t, "verdict", b.admit(r), admission.Parked)
		want(t, "pause", b.port.parked[1].Due.Sub(b.Now()), 200*time.Millisecond)
		b.port.keys["x"] = admission.Holder{RunID: "holder", Outcome: []byte(`{"o":[1]}`)}
		want(t, "verdict", b.admit(r), admission.Ended)
		want(t, "status", b.last().Status(), run.Succeeded)
		want(t, "output", string(b.last().Record().Output), "[1]")
		want(t, "follows", b.last().Record().Follows, "holder")
		key, _ := b.last().Key()
		want(t, "key", key, "")
	})
	t.Run("an invoked run takes over a failure", func(t *testing.T) {
		b := held(t, `{"f":{"message":"no","step":"one"}}`)
		want(t, "verdict", b.admit(b.run(data, invoked)), admission.Ended)
		want(t, "status", b.last().Status(), run.Failed)
		want(t, "error", b.last().Record().Error, "no")
		want(t, "step", b.last().Record().ErrorStep, "one")
	})
	t.Run("an invoked run whose holder was cancelled does the work", func(t *testing.T) {
		b := held(t, "")
		r := b.run(data, invoked)
		b.admit(r)
		delete(b.port.keys, "x")
		want(t, "verdict", b.admit(r), admission.Begins)
		want(t, "follows", r.Identity.Follows, "")
	})
	t.Run("an outcome that is damaged fails it", func(t *testing.T) {
		b := held(t, `{"o"`)
		want(t, "verdict", b.admit(b.run(data, invoked)), admission.Ended)
		want(t, "status", b.last().Status(), run.Failed)
	})
}

// An event of which a key cannot be evaluated is rejected before anything of it begins.
func TestKeysThatCannotBeEvaluated(t *testing.T) {
	for field, spec := range map[string]string{
		"spec.idempotency.key":    "idempotency: {key: event.data.none, ttl: 1h}\nonFailure: [{name: two, set: 2}]",
		"spec.rateLimit.key":      "idempotency: {key: event.id, ttl: 1h}\nrateLimit: {limit: 1, period: 1s, key: event.data.none}",
		"spec.throttle.key":       "idempotency: {key: event.id, ttl: 1h}\nthrottle: {limit: 1, period: 1s, key: event.data.none}",
		"spec.concurrency[1].key": "idempotency: {key: event.id, ttl: 1h}\nconcurrency: [{limit: 1}, {limit: 1, key: event.data.none}]",
	} {
		b := function(t, spec)
		want(t, field, b.admit(b.run(`{"n":1}`, invoked)), admission.Ended)
		want(t, field, b.last().Status(), run.Rejected)
		rec := b.last().Record()
		if !strings.HasPrefix(rec.Error, field) {
			t.Errorf("error %q does not name %s", rec.Error, field)
		}
		want(t, field+": event", rec.Event != nil && string(rec.Event.Data) == `{"n":1}`, true)
		want(t, field+": keys taken", len(b.port.keys), 0)
		want(t, field+": questions", len(b.port.takes), 0)
		if !strings.Contains(string(b.last().Result()), "the invoked run could not be started: "+field) {
			t.Errorf("the parent is told %s", b.last().Result())
		}
		_, outcome := b.last().Key()
		want(t, field+": key is kept", outcome != nil, false)
	}
}

func TestAllKeysThatCannotBeEvaluatedAreTold(t *testing.T) {
	b := function(t, "idempotency: {key: event.data.a, ttl: 1h}\nrateLimit: {limit: 1, period: 1s, key: event.data.b}\nconcurrency: [{limit: 1, key: event.data.c}]")
	b.admit(b.run(`{}`))
	for _, field := range []string{"spec.idempotency.key", "spec.rateLimit.key", "spec.concurrency[0].key"} {
		if text := b.last().Record().Error; !strings.Contains(text, field) {
			t.Errorf("error %q does not name %s", text, field)
		}
	}
}

// A limit that a newer version brings does not end a run that has begun without it.
func TestRunThatHasBegunIsNotRejected(t *testing.T) {
	b := function(t, "idempotency: {key: event.data.a, ttl: 1h}\nrateLimit: {limit: 1, period: 1s, key: event.data.b}\nconcurrency: [{limit: 1, key: event.data.c}]")
	for name, change := range map[string]func(*admission.Run){
		"stepped": stepped,
		"begun":   func(r *admission.Run) { r.Decision = run.Begun },
	} {
		want(t, name, b.admit(b.run(`{}`, change)), admission.Begins)
	}
	want(t, "keys taken", len(b.port.keys), 0)
	// Where what is left of the limits can be told, it holds.
	b.port.free["1 x"] = 1
	want(t, "verdict", b.admit(b.run(`{"c":"x"}`, stepped)), admission.Begins)
	want(t, "held", b.port.held["1 x"], 1)
}

// Null is a key like any other, and no other value is the same.
func TestNullIsAKey(t *testing.T) {
	b := function(t, "idempotency: {key: event.data.id, ttl: 1h}\nrateLimit: {limit: 1, period: 1s, key: event.data.id}\nthrottle: {limit: 1, period: 1s, key: event.data.id}\nconcurrency: [{limit: 1, key: event.data.id}]")
	b.port.starts = 6
	for _, data := range []string{`{"id":null}`, `{"id":"null"}`, `{"id":""}`} {
		r := b.run(data)
		b.admit(r)
		want(t, data+": decided", len(b.port.ended), 0)
	}
	want(t, "keys", len(b.port.keys), 3)
	values := map[string]bool{}
	for i, take := range b.port.takes {
		want(t, "one key everywhere", take.Throttle.Value, take.Slots[0].Value)
		want(t, "one key everywhere", b.port.passes[i].Value, take.Slots[0].Value)
		values[take.Throttle.Value] = true
	}
	want(t, "values", len(values), 3)
	want(t, "a second null", b.admit(b.run(`{"id":null}`)), admission.Ended)
	want(t, "counted as", b.last().Skip(), admission.Duplicate)
}

func TestFalseIsNoLimit(t *testing.T) {
	const limit = ": {limit: 1, period: 1s, key: 'event.data.free ? false : event.data.user'}"
	b := function(t, "rateLimit"+limit+"\nthrottle"+limit)
	want(t, "free", b.admit(b.run(`{"free":true}`)), admission.Begins)
	want(t, "questions", len(b.port.takes)+len(b.port.passes), 0)
	b.port.starts = 1
	want(t, "the text", b.admit(b.run(`{"free":false,"user":"false"}`)), admission.Parked)
	want(t, "limited", b.port.passes[0].Value, "false")
	want(t, "throttled", b.port.takes[0].Throttle.Value, "false")
	// For the other keys false is a value.
	b = function(t, "concurrency: [{limit: 1, key: event.data.free}]")
	b.admit(b.run(`{"free":false}`))
	want(t, "slot", b.port.takes[0].Slots[0].Value, "false")
}

func TestFailureReleasesKey(t *testing.T) {
	for name, tc := range map[string]struct {
		policy string
		status run.Status
		kept   bool
	}{
		"failed, by default": {"", run.Failed, true},
		"failed, keep":       {", onFailure: Keep", run.Failed, true},
		"failed, release":    {", onFailure: Release", run.Failed, false},
		"succeeded, release": {", onFailure: Release", run.Succeeded, true},
		"cancelled, keep":    {", onFailure: Keep", run.Cancelled, false},
		"cancelled, release": {", onFailure: Release", run.Cancelled, false},
	} {
		b := function(t, "idempotency: {key: event.data.id, ttl: 1h"+tc.policy+"}")
		r := b.run(`{"id":"x"}`)
		want(t, name, b.admit(r), admission.Begins)
		if err := b.End(context.Background(), r, admission.Outcome{Status: tc.status, Failure: &run.Failure{Message: "no"}}); err != nil {
			t.Fatal(err)
		}
		key, outcome := b.last().Key()
		want(t, name+": key", key, "x")
		want(t, name+": kept", outcome != nil, tc.kept)
	}
}

// A failure of the port ends and parks nothing, and holds nothing.
func TestPortFails(t *testing.T) {
	away := errors.New("Redis is away")
	for _, method := range []string{"Once", "Begin"} {
		b := function(t, all)
		b.port.fail[method] = away
		b.port.starts = 1
		b.port.free = map[string]int{"1 u": 2, "2 x": 3}
		r := b.run(`{"id":"x","user":"u"}`)
		_, err := b.Admit(context.Background(), r)
		want(t, method, errors.Is(err, away), true)
		want(t, method+": ends and parks", len(b.port.ended)+len(b.port.parked), 0)
		delete(b.port.fail, method)
		want(t, method+", again", b.admit(r), admission.Begins)
		want(t, method+": slots", b.port.held["1 u"], 1)
	}
}

func TestSlotsThatCouldNotBeGivenBack(t *testing.T) {
	b := function(t, "concurrency: [{limit: 3, key: event.data.id}]")
	b.port.free["1 x"] = 3
	runs := []*admission.Run{b.run(`{"id":"x"}`), b.run(`{"id":"x"}`), b.run(`{"id":"x"}`)}
	for _, r := range runs {
		want(t, "verdict", b.admit(r), admission.Begins)
	}
	b.port.fail["Release"] = errors.New("away")
	ctx := context.Background()
	if b.Leave(ctx, runs[0]) == nil || b.Restate(ctx) == nil {
		t.Error("a failure is not told")
	}
	want(t, "held", b.port.held["1 x"], 3)
	delete(b.port.fail, "Release")
	if err := b.Restate(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "held", b.port.held["1 x"], 2)
	if err := b.Leave(ctx, runs[0]); err != nil {
		t.Fatal(err)
	}
	want(t, "held: left twice", b.port.held["1 x"], 2)
	if err := b.LeaveAll(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "held", b.port.held["1 x"], 0)
}

// Whatever comes and goes side by side, what the store was told last is what is held.
func TestSlotsAreCountedRight(t *testing.T) {
	b := function(t, "concurrency: [{limit: 4, key: event.data.a}, {limit: 4, key: event.data.b}]")
	for _, name := range []string{"1 x", "1 y", "2 x", "2 y"} {
		b.port.free[name] = 4
	}
	var wg sync.WaitGroup
	for range 8 {
		runs := make([]*admission.Run, 50)
		for i := range runs {
			runs[i] = b.run([]string{`{"a":"x","b":"y"}`, `{"a":"y","b":"x"}`, `{"a":"x","b":"x"}`}[rand.IntN(3)], stepped)
		}
		wg.Go(func() {
			var inside []*admission.Run
			for _, r := range runs {
				v, err := b.Admit(context.Background(), r)
				if err != nil {
					t.Error(err)
				}
				if v == admission.Begins {
					inside = append(inside, r)
				}
				if len(inside) > 0 && (v != admission.Begins || rand.IntN(2) == 0) { // one leaves
					if err := b.Leave(context.Background(), inside[0]); err != nil {
						t.Error(err)
					}
					inside = inside[1:]
				}
			}
			for _, r := range inside {
				if err := b.Leave(context.Background(), r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for name, free := range b.port.free {
		want(t, "free "+name, free, 4)
		want(t, "held "+name, b.port.held[name], 0)
	}
}

func TestHandBack(t *testing.T) {
	b := function(t, all)
	if err := b.HandBack(context.Background(), b.run(`{}`)); err != nil {
		t.Fatal(err)
	}
	want(t, "wake", b.port.parked[0].Wake, true)
}

func TestFilter(t *testing.T) {
	b := function(t, `triggers: [{event: a, if: event.data.n > 1}, {event: b}, {event: a, if: event.data.also}]`)
	for data, tc := range map[string]struct {
		starts bool
		fails  string
	}{
		`{"n":2}`:              {starts: true},
		`{"n":1,"also":true}`:  {starts: true},
		`{"also":true}`:        {starts: true},
		`{"n":1,"also":false}`: {},
		`{"n":1}`:              {fails: "spec.triggers[2].if"},
	} {
		e := &event.Event{Type: "a", Data: []byte(data)}
		starts, err := b.Starts(b.plan, e)
		want(t, data, starts, tc.starts)
		want(t, data+" fails", err != nil, tc.fails != "")
		if err != nil && !strings.Contains(err.Error(), tc.fails) {
			t.Errorf("%s: %v does not name %s", data, err, tc.fails)
		}
	}
	starts, _ := b.Starts(b.plan, &event.Event{Type: "c"})
	want(t, "another type", starts, false)
}
