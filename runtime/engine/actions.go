package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
)

func (x *execution) sleep(u *unit, a *plan.Sleep, now time.Time) *Failure {
	if u.prog.Due == 0 {
		until := now.Add(a.For)
		if a.Until != nil {
			var err error
			if until, err = a.Until.Time(&x.scope); err != nil {
				return x.endNow(u, nil, fmt.Errorf("sleepUntil: %w", err))
			}
		}
		// A due time of 0 means none; whoever sleeps until 1970 wakes at once.
		u.prog.Due = max(1, until.UnixMilli())
	}
	if u.prog.Due <= now.UnixMilli() {
		return x.endNow(u, nil, nil)
	}
	u.state = waiting
	return nil
}

func (x *execution) wait(u *unit, w *plan.WaitForEvent, now time.Time) *Failure {
	if u.prog.Due == 0 {
		u.prog.Due = now.Add(w.Timeout).UnixMilli()
	}
	value, ok := "", true
	if w.Match != nil {
		value, ok = w.Match.Lookup(&x.run.Event)
	}
	if !ok {
		return x.endNow(u, nil, fmt.Errorf("waitForEvent.match: the event that started the run has no text, number or boolean at %s", w.Match))
	}
	// A wait with `if` looks back in every execution: only here can the
	// expression see the steps.
	if looked := u.looked || (u.prog.Seen != "" && w.If == nil); !looked {
		u.looked = true
		x.sign(u)
		wait := Wait{Path: u.path, Event: w.Event, Match: w.Match, Value: value, HasIf: w.If != nil, From: u.prog.Seen, Progress: u.prog.encode()}
		wait.Fits = x.fits(w.If, u.item)
		x.waits = append(x.waits, wait)
		leg, prog := x.leg, u.prog
		x.spawn(u, func() completion { return x.await(leg, u, prog, wait) })
		return nil
	}
	x.remember(u)
	if u.prog.Due <= now.UnixMilli() {
		// The time-out is committed, since an event may arrive at the same moment.
		x.spawnCommit(u, result{Attempts: 1, Start: u.prog.Since, Duration: now.UnixMilli() - u.prog.Since})
		return nil
	}
	u.state = waiting
	return nil
}

// remember notes a wait that an earlier execution has registered, so that it
// is taken back when the run ends.
func (x *execution) remember(u *unit) {
	w, isWait := u.node.step.Action.(*plan.WaitForEvent)
	if _, begun := x.run.Progress[u.path]; !isWait || u.looked || !begun {
		return
	}
	u.looked = true
	value := ""
	if w.Match != nil {
		value, _ = w.Match.Lookup(&x.run.Event)
	}
	x.waits = append(x.waits, Wait{Path: u.path, Event: w.Event, Match: w.Match, Value: value, HasIf: w.If != nil})
}

// sign puts the version into a progress that may be the first field of the
// journal: a run is finished on the version that it began with.
func (x *execution) sign(u *unit) {
	if !x.wrote.Load() {
		u.prog.Version = x.run.Plan.Hash
	}
}

// fits returns waitForEvent.if as a function that may run beside the loop: it
// sees the steps as they are now.
func (x *execution) fits(cond *plan.Expr, item json.RawMessage) func(*event.Event) (bool, error) {
	if cond == nil {
		return func(*event.Event) (bool, error) { return true, nil }
	}
	steps := map[string]plan.StepVar{}
	for _, m := range []*machine{x.main, x.machine} {
		if m == nil {
			continue
		}
		for _, n := range m.nodes {
			if n.state == ended {
				steps[n.step.Name] = plan.StepVar{Output: n.result.Output, Error: n.result.Error, Attempts: n.result.Attempts}
			}
		}
	}
	scope := plan.Scope{Event: &x.run.Event, Env: x.Env, Run: x.scope.Run, Item: item, Error: x.scope.Error}
	scope.Step = func(name string) (plan.StepVar, bool) { v, ok := steps[name]; return v, ok }
	return func(async *event.Event) (bool, error) {
		scope.Async = async
		return cond.Bool(&scope)
	}
}

func (x *execution) invoke(u *unit, inv *plan.Invoke, now time.Time) *Failure {
	if u.prog.Child == "" {
		data, err := jsonOrEmpty(inv.Data, &x.scope)
		if err != nil {
			return x.endNow(u, nil, fmt.Errorf("invoke.data: %w", err))
		}
		// The id has the time of the invocation: a run looks for events from there on.
		child := Child{Function: inv.Function, RunID: event.DerivedID(now, inv.Function, x.run.ID, u.path)}
		child.Event = event.Event{ID: child.RunID, Type: InvokeType, Source: "wildout:" + x.run.Plan.Function, Subject: x.run.ID, Time: now.UTC().Truncate(time.Millisecond), Data: data}
		child.Event.TraceParent, child.Event.TraceState = x.sends(u)
		u.prog.Child = child.RunID
		if inv.Timeout > 0 {
			u.prog.Due = now.Add(inv.Timeout).UnixMilli()
		}
		x.sign(u)
		prog := u.prog
		x.spawn(u, func() completion {
			err := x.run.Journal.Invoke(x.durable, u.path, prog.encode(), child)
			return completion{unit: u, waits: true, prog: prog, err: err}
		})
		return nil
	}
	if u.prog.Due > 0 && u.prog.Due <= now.UnixMilli() {
		r := result{Error: fmt.Sprintf("the invoked run %s of %s had not ended after %s (invoke.timeout); it goes on by itself", u.prog.Child, inv.Function, inv.Timeout),
			Attempts: 1, Start: u.prog.Since, Duration: now.UnixMilli() - u.prog.Since}
		x.spawnCommit(u, r)
		return nil
	}
	u.state = waiting
	return nil
}

// InvokeType is the type of the event that an invoked run sees.
const InvokeType = "wildout/function.invoked"

func jsonOrEmpty(v *plan.Value, scope *plan.Scope) (json.RawMessage, error) {
	if v == nil {
		return json.RawMessage("{}"), nil
	}
	return v.JSON(scope)
}

func (x *execution) send(u *unit, a *plan.SendEvent) *Failure {
	now := x.Now()
	events := make([]OutEvent, len(a.Events))
	parent, state := x.sends(u)
	ids := make([]string, len(events))
	for i, s := range a.Events {
		data, err := jsonOrEmpty(s.Data, &x.scope)
		if err == nil {
			err = event.Check(data)
		}
		if err != nil {
			return x.endNow(u, nil, fmt.Errorf("sendEvent[%d].data: %w", i, err))
		}
		id, dedupe := event.DerivedID(now, s.Type, x.run.ID, u.path, strconv.Itoa(i)), false
		if s.ID != nil {
			if id, err = s.ID.Text(&x.scope); err != nil || id == "" {
				return x.endNow(u, nil, fmt.Errorf("sendEvent[%d].id: empty or wrong: %w", i, err))
			}
			dedupe = true
		}
		ids[i] = id
		events[i] = OutEvent{Dedupe: dedupe, Event: event.Event{ID: id, Type: s.Type, Source: "wildout:" + x.run.Plan.Function, Subject: x.run.ID, Time: now, Data: data, TraceParent: parent, TraceState: state}}
	}
	output, _ := json.Marshal(ids) // strings cannot fail
	r := result{Output: output, Attempts: 1, Start: u.prog.Since}
	leg := x.leg
	x.spawn(u, func() completion {
		return x.written(leg, u, r, func(b []byte) ([]byte, error) { return x.run.Journal.Send(x.durable, u.path, b, events) })
	})
	return nil
}
