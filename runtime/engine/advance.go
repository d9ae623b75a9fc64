package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	wildout "github.com/wildout/wildout/runtime"
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
			n.state, n.result = ended, result{Start: x.since(n), skipped: true}
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
		u.past = u.prog.Parks == 0 || u.prog.Parks != x.parks
		if kind := u.node.step.Action.Kind(); u.prog.Since > 0 && (kind == plan.KindWaitForEvent || kind == plan.KindInvoke) {
			// What ended the wait knew only when it came: the step began with the wait.
			r.Duration += max(0, r.Start-u.prog.Since)
			r.Start = min(r.Start, u.prog.Since)
		}
		return x.endUnit(u, r)
	}
	if u.prog.Since == 0 {
		u.prog.Since = x.clock.UnixMilli()
	} else {
		u.past = u.prog.Parks != x.parks
		u.node.since = millis(u.prog.Since)
	}
	return nil
}

// endUnit ends a unit and says whether that fails the run.
func (x *execution) endUnit(u *unit, r result) *Failure {
	x.machine.end(u, r)
	x.passed(u, &r)
	if r.Error != "" && !u.node.step.ContinueOnError {
		return &Failure{Message: r.Error, Step: u.path, Attempts: r.Attempts}
	}
	return nil
}

// endNow ends a unit with a result that needs no commit: a pure one, which a
// second execution finds again.
func (x *execution) endNow(u *unit, output json.RawMessage, err error) *Failure {
	r := result{Output: output, Attempts: 1}
	r.Start, r.Duration = x.span(u)
	if err == nil && len(output) > wildout.MaxOutputBytes {
		err = fmt.Errorf("the output is %d bytes, the limit is %d", len(output), wildout.MaxOutputBytes)
	}
	if err != nil {
		r.Output, r.Error = nil, err.Error()
	}
	return x.endUnit(u, r)
}

// span is the start and the length of a step that ends without a commit, in ms.
// A sleep ends when it is due, however late the run goes on. What an earlier
// execution has computed already took place then.
func (x *execution) span(u *unit) (start, took int64) {
	action, now := u.node.step.Action, x.Now().UnixMilli()
	switch {
	case u.prog.Due > 0 && action.Kind() == plan.KindSleep:
		now = min(now, max(u.prog.Due, u.prog.Since))
	case x.resumed && isPure(action):
		return x.since(u.node), 0
	}
	return u.prog.Since, now - u.prog.Since
}

// since is when a step that leaves nothing in the journal could begin, in ms:
// when what it needs had ended.
func (x *execution) since(n *node) int64 {
	if !x.resumed {
		return n.since.UnixMilli()
	}
	at := x.origin
	for _, i := range n.step.Needs {
		r := &x.machine.nodes[i].result
		at = max(at, r.Start+r.Duration)
	}
	return at
}

// begin takes the action of a unit, or goes on with it.
func (x *execution) begin(u *unit) *Failure {
	now := x.clock
	x.scope.Item = u.item
	defer func() { x.scope.Item = nil }()
	if pure, ok := u.node.step.Action.(plan.Pure); ok {
		v, err := pure.Compute(&x.scope)
		return x.endNow(u, v, err)
	}
	if sleeps := u.node.step.Action.Kind() == plan.KindSleep; x.replay && (!sleeps || u.prog.Due == 0) {
		x.remember(u)
		u.state = waiting
		return nil
	}
	switch a := u.node.step.Action.(type) {
	case *plan.Sleep:
		return x.sleep(u, a, now)
	case *plan.WaitForEvent:
		return x.wait(u, a, now)
	case *plan.Invoke:
		return x.invoke(u, a, now)
	case *plan.SendEvent:
		return x.send(u, a)
	case *plan.Handler:
		return x.call(u, a, now)
	}
	return x.endNow(u, nil, fmt.Errorf("the engine knows no action %T", u.node.step.Action))
}

// call begins an attempt of a handler, unless it is too early for one.
func (x *execution) call(u *unit, a *plan.Handler, now time.Time) *Failure {
	if due := millis(u.prog.Due); now.Before(due) {
		u.state = waiting
		return nil
	}
	var input json.RawMessage
	if a.With != nil {
		var err error
		if input, err = a.With.JSON(&x.scope); err != nil {
			return x.endNow(u, nil, fmt.Errorf("with: %w", err))
		}
	}
	x.prepare(u, a.Name, input)
	return nil
}
