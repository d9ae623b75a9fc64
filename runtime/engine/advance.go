package engine

import (
	"fmt"
	"strconv"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// MaxElements bounds the list of a forEach.
const MaxElements = 10_000

// advance begins everything that can begin, until only attempts and waits are
// left. It returns a failure that fails the run.
func (x *execution) advance() *run.Failure {
	if x.clock = x.asOf; !x.replay {
		x.clock = x.Now()
	}
	for again := true; again; {
		next := x.machine.stepper.Next(Results{x, x.machine})
		if next.Done {
			return x.conclude(next)
		}
		var f *run.Failure
		if again, f = x.startAll(next.Steps); f != nil {
			return f
		}
		for _, n := range x.machine.nodes {
			if n.state != active {
				continue
			}
			moved, f := x.feed(n)
			if f != nil {
				return f
			}
			again = again || moved
		}
	}
	return nil
}

// startAll starts the steps that have not begun; again: one has ended at once.
func (x *execution) startAll(steps []*plan.Step) (again bool, f *run.Failure) {
	for _, step := range steps {
		n, err := x.machine.node(step)
		if err != nil {
			return false, &run.Failure{Message: x.bug("cannot go on, %w", err).Error()}
		}
		if n.state != pending {
			continue
		}
		if f := x.start(n); f != nil {
			return false, f
		}
		again = again || n.state == ended
	}
	return again, nil
}

// conclude notes that nothing comes next. What is still at work is stopped.
func (x *execution) conclude(next Next) *run.Failure {
	if x.replay {
		return nil
	}
	if next.Failure != nil {
		return next.Failure
	}
	if n := len(next.Output); x.machine.graph == nil && n > wildout.MaxOutputBytes {
		return &run.Failure{Message: fmt.Sprintf("the output of the run is %d bytes, the limit is %d", n, wildout.MaxOutputBytes)}
	}
	x.over = &next
	x.leg.cancel(errOver)
	return nil
}

// start evaluates if and forEach and makes the units of a step.
func (x *execution) start(n *node) *run.Failure {
	step := n.step
	n.since = x.clock
	n.state = active
	if step.If != nil {
		yes, err := step.If.Bool(&x.scope)
		if err != nil {
			return x.endNode(n, run.Result{Error: "if: " + err.Error()})
		}
		if !yes {
			n.skipped = true
			n.end(run.Result{Start: x.since(n)})
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
		return x.endNode(n, run.Result{Error: "forEach: " + err.Error()})
	}
	backing := make([]unit, len(items))
	n.units = make([]*unit, len(items))
	for i, item := range items {
		backing[i] = unit{node: n, path: step.Name + "[" + strconv.Itoa(i) + "]", item: item, index: i}
		n.units[i] = &backing[i]
	}
	if len(items) == 0 {
		n.end(n.collect())
	}
	return nil
}

// endNode ends a step that failed before it had units.
func (x *execution) endNode(n *node, r run.Result) *run.Failure {
	r.Start = n.since.UnixMilli()
	n.end(r)
	if n.step.ContinueOnError {
		return nil
	}
	return &run.Failure{Message: r.Error, Step: n.step.Name}
}

// feed begins units of an active step, as many at once as maxParallel allows,
// and looks again at those that wait.
func (x *execution) feed(n *node) (moved bool, f *run.Failure) {
	for _, u := range n.units[:n.next] {
		if u.state != waiting {
			continue
		}
		ready, f := x.goesOn(u)
		if ready && f == nil {
			f = x.begin(u)
		}
		if f != nil {
			return moved, f
		}
		moved = moved || u.state == ended
	}
	limit := max(1, n.step.MaxParallel)
	for n.next < len(n.units) && n.open < limit {
		u := n.units[n.next]
		n.next++
		n.open++
		if f = x.load(u); f != nil {
			return moved, f
		}
		switch {
		case u.state != pending:
		case len(u.prog.Wants) > 0: // its handler is not called before it has something to go on with
			u.state = waiting
			moved = true
		default:
			if f = x.begin(u); f != nil {
				return moved, f
			}
		}
		moved = moved || u.state == ended
	}
	return moved, nil
}

// goesOn reports whether a waiting unit can go on.
func (x *execution) goesOn(u *unit) (bool, *run.Failure) {
	if len(u.prog.Wants) == 0 {
		return u.isDue(x), nil
	}
	ready, f := x.feedNested(u)
	if ready {
		u.prog.Wants = nil
	}
	return ready, f
}

// endUnit ends a unit and says whether that fails the run.
func (x *execution) endUnit(u *unit, r run.Result) *run.Failure {
	x.machine.end(u, r)
	x.passed(u, &r)
	if u.nested {
		x.subs.put(u.path, r)
	}
	if r.Error != "" && !u.node.step.ContinueOnError {
		return &run.Failure{Message: r.Error, Step: u.path, Attempts: r.Attempts}
	}
	return nil
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
