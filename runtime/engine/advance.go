package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
)

// MaxElements bounds the list of a forEach.
const MaxElements = 10_000

// advance begins everything that can begin, until only attempts and waits are
// left. It returns a failure that fails the run.
func (x *execution) advance() *Failure {
	if x.clock = x.asOf; !x.replay {
		x.clock = x.Now()
	}
	for again := true; again; {
		again = false
		for _, n := range x.machine.nodes {
			if n.state == pending && x.machine.ready(n) {
				if f := x.start(n); f != nil {
					return f
				}
				again = again || n.state == ended
			}
			if n.state == active {
				moved, f := x.feed(n)
				if f != nil {
					return f
				}
				again = again || moved
			}
		}
	}
	return nil
}

// start evaluates if and forEach and makes the units of a step.
func (x *execution) start(n *node) *Failure {
	n.since, n.state = x.clock, active
	step := n.step
	if step.If != nil {
		yes, err := step.If.Bool(&x.scope)
		if err != nil {
			return x.endNode(n, result{Error: "if: " + err.Error()})
		}
		if !yes {
			n.state, n.result = ended, result{Start: n.since.UnixMilli(), skipped: true}
			return nil
		}
	}
	if step.ForEach == nil {
		n.only = unit{node: n, path: step.Name}
		n.list[0] = &n.only
		n.units = n.list[:]
		return nil
	}
	items, err := step.ForEach.List(&x.scope)
	if err == nil && len(items) > MaxElements {
		err = fmt.Errorf("%d elements, the limit is %d; split the list over several runs", len(items), MaxElements)
	}
	if err != nil {
		return x.endNode(n, result{Error: "forEach: " + err.Error()})
	}
	backing := make([]unit, len(items))
	n.units = make([]*unit, len(items))
	for i, item := range items {
		backing[i] = unit{node: n, path: step.Name + "[" + strconv.Itoa(i) + "]", item: item}
		n.units[i] = &backing[i]
	}
	if len(items) == 0 {
		n.state, n.result = ended, n.collect()
	}
	return nil
}

// endNode ends a step that failed before it had units.
func (x *execution) endNode(n *node, r result) *Failure {
	r.Start = n.since.UnixMilli()
	n.state, n.result = ended, r
	if n.step.ContinueOnError {
		return nil
	}
	return &Failure{Message: r.Error, Step: n.step.Name}
}

// feed begins units of an active step, as many at once as maxParallel allows,
// and looks again at those that wait.
func (x *execution) feed(n *node) (moved bool, f *Failure) {
	for _, u := range n.units[:n.next] {
		if u.state == waiting && u.prog.Due > 0 && u.prog.Due <= x.clock.UnixMilli() {
			if f = x.begin(u); f != nil {
				return moved, f
			}
			moved = moved || u.state == ended
		}
	}
	limit := max(1, n.step.MaxParallel)
	for n.next < len(n.units) && n.open < limit {
		u := n.units[n.next]
		n.next++
		n.open++
		if f = x.load(u); f != nil {
			return moved, f
		}
		if u.state == pending {
			if f = x.begin(u); f != nil {
				return moved, f
			}
		}
		moved = moved || u.state == ended
	}
	return moved, nil
}

// load takes over what the journal has of a unit.
func (x *execution) load(u *unit) *Failure {
	if b, ok := x.run.Progress[u.path]; ok {
		if err := json.Unmarshal(b, &u.prog); err != nil {
			return &Failure{Message: fmt.Sprintf("journal field ~%s is damaged: %v", u.path, err), Step: u.node.step.Name}
		}
	}
	if b, ok := x.run.Results[u.path]; ok {
		r, err := decodeResult(u.path, b)
		if err != nil {
			return &Failure{Message: err.Error(), Step: u.node.step.Name}
		}
		x.remember(u)
		return x.endUnit(u, r)
	}
	if u.prog.Since == 0 {
		u.prog.Since = x.clock.UnixMilli()
	} else {
		u.node.since = millis(u.prog.Since)
	}
	return nil
}

// endUnit ends a unit and says whether that fails the run.
func (x *execution) endUnit(u *unit, r result) *Failure {
	x.machine.end(u, r)
	if r.Error != "" && !u.node.step.ContinueOnError {
		return &Failure{Message: r.Error, Step: u.path, Attempts: r.Attempts}
	}
	return nil
}

// endNow ends a unit with a result that needs no commit: a pure one, which a
// second execution finds again.
func (x *execution) endNow(u *unit, output json.RawMessage, err error) *Failure {
	now := x.Now().UnixMilli()
	r := result{Output: output, Attempts: 1, Start: u.prog.Since, Duration: now - u.prog.Since}
	if err == nil && len(output) > wildout.MaxOutputBytes {
		err = fmt.Errorf("the output is %d bytes, the limit is %d", len(output), wildout.MaxOutputBytes)
	}
	if err != nil {
		r.Output, r.Error = nil, err.Error()
	}
	return x.endUnit(u, r)
}

// begin takes the action of a unit, or goes on with it.
func (x *execution) begin(u *unit) *Failure {
	step, now := u.node.step, x.clock
	x.scope.Item = u.item
	defer func() { x.scope.Item = nil }()
	sleeps := step.Sleep > 0 || step.SleepUntil != nil
	switch {
	case step.Set != nil:
		v, err := step.Set.JSON(&x.scope)
		return x.endNow(u, v, err)
	case step.Assert != nil:
		return x.endNow(u, nil, x.check(step.Assert))
	case x.replay && (!sleeps || u.prog.Due == 0):
		x.remember(u)
		u.state = waiting
		return nil
	case sleeps:
		return x.sleep(u, now)
	case step.Wait != nil:
		return x.wait(u, now)
	case step.Invoke != nil:
		return x.invoke(u, now)
	case len(step.Send) > 0:
		return x.send(u)
	}
	if due := millis(u.prog.Due); now.Before(due) {
		u.state = waiting
		return nil
	}
	var input json.RawMessage
	if step.With != nil {
		var err error
		if input, err = step.With.JSON(&x.scope); err != nil {
			return x.endNow(u, nil, fmt.Errorf("with: %w", err))
		}
	}
	x.prepare(u, input)
	return nil
}

func (x *execution) check(assertions []plan.Assertion) error {
	for i, a := range assertions {
		ok, err := a.That.Bool(&x.scope)
		if err != nil {
			return fmt.Errorf("assert[%d]: %w", i, err)
		}
		if ok {
			continue
		}
		if a.Message == nil {
			return fmt.Errorf("assertion failed: %s", a.That)
		}
		text, err := a.Message.Text(&x.scope)
		if err != nil {
			return fmt.Errorf("assert[%d].message: %w", i, err)
		}
		return fmt.Errorf("assertion failed: %s", text)
	}
	return nil
}

func (x *execution) sleep(u *unit, now time.Time) *Failure {
	if u.prog.Due == 0 {
		until := now.Add(u.node.step.Sleep)
		if v := u.node.step.SleepUntil; v != nil {
			var err error
			if until, err = v.Time(&x.scope); err != nil {
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

func (x *execution) wait(u *unit, now time.Time) *Failure {
	w := u.node.step.Wait
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
	w := u.node.step.Wait
	if _, begun := x.run.Progress[u.path]; w == nil || u.looked || !begun {
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

func (x *execution) invoke(u *unit, now time.Time) *Failure {
	inv := u.node.step.Invoke
	if u.prog.Child == "" {
		data, err := jsonOrEmpty(inv.Data, &x.scope)
		if err != nil {
			return x.endNow(u, nil, fmt.Errorf("invoke.data: %w", err))
		}
		// The id has the time of the invocation: a run looks for events from there on.
		child := Child{Function: inv.Function, RunID: event.DerivedID(now, inv.Function, x.run.ID, u.path)}
		child.Event = event.Event{ID: child.RunID, Type: InvokeType, Source: "wildout:" + x.run.Plan.Function, Subject: x.run.ID, Time: now.UTC().Truncate(time.Millisecond), Data: data, TraceParent: x.run.Event.TraceParent}
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

func (x *execution) send(u *unit) *Failure {
	now := x.Now()
	events := make([]OutEvent, len(u.node.step.Send))
	ids := make([]string, len(events))
	for i, s := range u.node.step.Send {
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
		events[i] = OutEvent{Dedupe: dedupe, Event: event.Event{ID: id, Type: s.Type, Source: "wildout:" + x.run.Plan.Function, Subject: x.run.ID, Time: now, Data: data, TraceParent: x.run.Event.TraceParent}}
	}
	output, _ := json.Marshal(ids) // strings cannot fail
	r := result{Output: output, Attempts: 1, Start: u.prog.Since}
	leg := x.leg
	x.spawn(u, func() completion {
		return x.written(leg, u, r, func(b []byte) ([]byte, error) { return x.run.Journal.Send(x.durable, u.path, b, events) })
	})
	return nil
}
