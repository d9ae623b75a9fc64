package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// waitForEvent waits for an event. The wait is registered, with the progress,
// before the stream is looked through for what came earlier; who reads an event
// that fits writes the result. With an `if`, which only the run can evaluate,
// that is a candidate, for which the run looks again.
type waitForEvent plan.WaitForEvent

func (a *waitForEvent) begin(x *execution, u *unit) *run.Failure {
	if u.prog.Due == 0 {
		u.prog.Due = x.clock.Add(a.Timeout).UnixMilli()
	}
	if _, ok := a.value(x); !ok {
		return x.refuse(u, "waitForEvent.match: the event that started the run has no text, number or boolean at %s", a.Match)
	}
	// A wait with `if` looks back in every execution: only here can the
	// expression see the steps.
	if looked := u.looked || (u.prog.Seen != "" && a.If == nil); !looked {
		a.look(x, u)
		return nil
	}
	x.remember(u, a)
	if now := x.clock.UnixMilli(); u.prog.Due <= now {
		// The time-out is committed, since an event may arrive at the same moment.
		x.spawnCommit(u, run.Result{Attempts: 1, Start: u.prog.Since, Duration: now - u.prog.Since})
		return nil
	}
	return u.wait()
}

func (a *waitForEvent) recall(x *execution, u *unit) *run.Failure {
	x.remember(u, a)
	return u.wait()
}

func (*waitForEvent) mark() run.Kind { return run.KindWait }
func (*waitForEvent) told() bool     { return true }

func (a *waitForEvent) awaits(u *unit) []string {
	if a.If == nil {
		return []string{u.path}
	}
	return []string{u.path, run.CandidateField(u.path)}
}

func (*waitForEvent) child(*unit) *run.Child { return nil }

func (a *waitForEvent) standing(x *execution, u *unit) *run.Wait {
	w := &run.Wait{Path: u.path, EventType: a.Event, HasIf: a.If != nil}
	if a.Match != nil {
		w.Match = a.Match.String()
	}
	w.Value, _ = a.value(x)
	return w
}

// value is what the awaited event must have at Match; false: nothing fits.
func (a *waitForEvent) value(x *execution) (string, bool) {
	if a.Match == nil || a.Value != "" {
		return a.Value, true
	}
	return a.Match.Lookup(&x.run.Event)
}

// look registers the wait and looks back.
func (a *waitForEvent) look(x *execution, u *unit) {
	u.looked = true
	x.sign(u)
	w := Wait{Wait: *a.standing(x, u), At: a.Match, From: u.prog.Seen, Progress: u.prog.Encode(), Fits: x.unanswered(a, u, x.fits(a.If, u.item))}
	x.waits = append(x.waits, w.Wait)
	leg, prog := x.leg, u.prog
	x.spawn(u, func() completion {
		found, seen, err := x.run.Journal.Await(x.durable, w)
		if err != nil {
			return completion{unit: u, err: err}
		}
		if found == nil {
			prog.Seen = seen
			return completion{unit: u, waits: true, prog: prog}
		}
		output, err := json.Marshal(found)
		if err != nil {
			return completion{unit: u, err: fmt.Errorf("event %s of %s: %w", found.ID, found.Type, err)}
		}
		return x.commit(leg, u, run.Result{Output: output, Attempts: 1, Start: prog.Since, Duration: x.Now().UnixMilli() - prog.Since})
	})
}

// unanswered keeps from a look-back what has answered a wait of the run that was
// over before this one began: an event answers all waits that are open when it comes,
// and none that begins later. What came since the wait was registered it may share.
func (x *execution) unanswered(a *waitForEvent, u *unit, fits func(*event.Event) (bool, error)) func(*event.Event) (bool, error) {
	if u.prog.Seen != "" {
		return fits
	}
	used := map[string]bool{}
	for _, m := range x.machines() {
		for _, n := range m.nodes {
			n.each(func(before *unit) {
				if other, ok := before.node.action.(*waitForEvent); !ok || other.Event != a.Event {
					return
				}
				// Whether it was over before is known, but where a wait is begun for a
				// second time, since its runner died: then the times have to tell.
				if id := before.answer(); id != "" && (!u.begun || before.res.Start+before.res.Duration <= u.prog.Since) {
					used[id] = true
				}
			})
		}
	}
	if len(used) == 0 {
		return fits
	}
	return func(e *event.Event) (bool, error) {
		if used[e.ID] {
			return false, nil
		}
		return fits(e)
	}
}

// answer is the id of the event that ended a wait; "" when none did.
func (u *unit) answer() string {
	if u.state != ended || u.res.Error != "" {
		return ""
	}
	if u.answered == "" {
		var e struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(u.res.Output, &e) // a wait that timed out has none
		u.answered = e.ID
	}
	return u.answered
}

// fits returns waitForEvent.if as a function that may run beside the loop: it
// sees the steps as they are now.
func (x *execution) fits(cond *plan.Expr, item json.RawMessage) func(*event.Event) (bool, error) {
	if cond == nil {
		return func(*event.Event) (bool, error) { return true, nil }
	}
	steps := map[string]plan.StepVar{}
	for _, m := range x.machines() {
		for _, n := range m.nodes {
			if n.state == ended {
				steps[n.step.Name] = n.stepVar()
			}
		}
	}
	scope := plan.Scope{Event: &x.run.Event, Env: x.Env, Run: x.scope.Run, Item: item, Index: x.scope.Index, Error: x.scope.Error}
	scope.Step = func(name string) (plan.StepVar, bool) { v, ok := steps[name]; return v, ok }
	return func(async *event.Event) (bool, error) {
		scope.Async = async
		return cond.Bool(&scope)
	}
}

func (a *waitForEvent) operation() *run.Operation {
	o := &run.Operation{Event: a.Event, Value: a.Value}
	if a.Match != nil {
		o.Match = a.Match.String()
	}
	return o
}

func (a *waitForEvent) does() string {
	text := plan.KindWaitForEvent.Verb() + " " + a.Event
	if a.Match != nil {
		text += " by " + a.Match.String()
	}
	return text
}

// waitFrom makes the action from what operation returned.
func waitFrom(o *run.Operation) (*plan.WaitForEvent, error) {
	a := &plan.WaitForEvent{Event: o.Event, Value: o.Value}
	if o.Match == "" {
		return a, nil
	}
	var err error
	a.Match, err = plan.ParsePath(o.Match)
	return a, err
}

// WaitForEvent implements wildout.SubSteps.
func (s *subSteps) WaitForEvent(_ context.Context, name string, o wildout.WaitOptions) (json.RawMessage, error) {
	r, err := s.await(name, func() (plan.Action, error) {
		action, err := s.waitOf(o)
		return action, wildout.NonRetriable(err)
	})
	return r.Output, err
}

// waitOf is the action that a handler asks for. A runner reads only what
// manifests name: the step must say for what its handler may wait.
func (s *subSteps) waitOf(o wildout.WaitOptions) (plan.Action, error) {
	if o.Timeout < time.Millisecond {
		return nil, fmt.Errorf("the handler waits for %s with a time-out of %s: write how long it may wait, in WaitOptions.Timeout", o.Event, o.Timeout)
	}
	if declared := s.a.handler.Waits; !slices.Contains(declared, plan.Awaited{Event: o.Event, Match: o.Match}) {
		line := "event: " + o.Event
		if o.Match != "" {
			line += ", match: " + o.Match
		}
		return nil, fmt.Errorf("the handler waits for an event that the manifest does not name, and nobody would read it: write waits: [{%s}] beside handler: %s in step %s", line, s.a.handler.Name, ownerOf(s.path))
	}
	a, err := waitFrom(&run.Operation{Event: o.Event, Match: o.Match})
	if err != nil {
		return nil, err
	}
	a.Timeout = o.Timeout
	if a.Match != nil {
		a.Value, err = s.matched(a.Match, o.Value)
	}
	return a, err
}

// matched is what the awaited event must have at match: value, or what the event
// that started the run has there.
func (s *subSteps) matched(match *plan.Path, value any) (string, error) {
	if value == nil {
		own, ok := match.Lookup(&s.a.x.run.Event)
		if !ok {
			return "", fmt.Errorf("the event that started the run has no text, number or boolean at %s: set WaitOptions.Value", match)
		}
		return own, nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("WaitOptions.Value: %w", err)
	}
	text, ok := plan.Scalar(raw)
	if !ok {
		return "", fmt.Errorf("WaitOptions.Value is %.40s, and must be text, a number or a boolean", raw)
	}
	return text, nil
}
