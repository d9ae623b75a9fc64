package engine

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// state of a node or a unit.
type state uint8

const (
	pending state = iota
	running       // an attempt is under way
	waiting       // until due, or until something arrives
	active        // node only: started, some units have not ended
	ended
)

// node is a step of the graph. A step without forEach has one unit.
type node struct {
	step    *plan.Step
	action  action
	state   state
	skipped bool // it has ended, since its `if` was false
	result  run.Result
	units   []*unit
	next    int // first unit that has not begun
	open    int // units begun and not ended
	since   time.Time
	// only and list spare a step without forEach two allocations.
	only unit
	list [1]*unit
}

// unit is what is done once: a step, or one element of its forEach.
type unit struct {
	node  *node
	path  string
	item  json.RawMessage
	index int // of the item
	prog  run.Progress
	res   run.Result
	subs  []*unit // operations of its handler
	state state
	// nested: it is an operation of a handler.
	nested bool
	// begun: an execution before this one has written a progress.
	begun bool
	// past: an execution before this one saw the end.
	past bool
	// timed: it has ended, and only its progress says so.
	timed bool
	// lacks is the handler that the unit waits for, since this runner has none of
	// that name; "": it does not.
	lacks string
	// looked: this execution has seen to what was registered for the unit.
	looked bool
	// answered is the id of the event that ended a wait, once it was asked for.
	answered string
}

// machine walks the steps of one Stepper: it says which units may begin and what
// the whole has come to. It does no I/O; the execution does.
type machine struct {
	stepper Stepper
	graph   *graph // nil: its steps are not known beforehand
	nodes   []*node
	next    []*plan.Step // of the graph, used again and again
}

func newMachine(s Stepper) *machine {
	m := &machine{stepper: s}
	g, known := s.(*graph)
	if !known {
		return m
	}
	m.graph = g
	m.nodes = make([]*node, len(g.steps))
	backing := make([]node, len(g.steps))
	for i, step := range g.steps {
		backing[i].step = step
		backing[i].action = actionOf(step.Action)
		m.nodes[i] = &backing[i]
	}
	return m
}

// node returns the node of a step that the stepper has named.
func (m *machine) node(step *plan.Step) (*node, error) {
	for _, n := range m.nodes {
		if n.step == step || n.step.Name == step.Name {
			return n, nil
		}
	}
	if !stepName.MatchString(step.Name) || step.Action == nil {
		return nil, fmt.Errorf("the step %q has no name that a journal can have, or no action", step.Name)
	}
	n := &node{step: step, action: actionOf(step.Action)}
	m.nodes = append(m.nodes, n)
	return n, nil
}

// stepName is what a journal can have: no other field begins so, and no path of
// an element or a sub-step looks like it.
var stepName = regexp.MustCompile(`^[A-Za-z0-9][^/\[\]\s]{0,254}$`)

// find returns the node of that name.
func (m *machine) find(name string) *node {
	for _, n := range m.nodes {
		if n.step.Name == name {
			return n
		}
	}
	return nil
}

// last reports whether u is the only thing left to do but for pure steps, so
// that its result may travel with the end of the run and needs no commit of
// its own. With alone, not even a pure step may be left.
func (m *machine) last(u *unit, alone bool) bool {
	if u.node.step.ForEach != nil {
		return false
	}
	for _, n := range m.nodes {
		if n == u.node || n.state == ended {
			continue
		}
		computed := n.step.ForEach == nil && n.step.Action.Kind().Pure()
		if !computed || alone || n.state != pending {
			return false
		}
	}
	return true
}

// end records the result of a unit and, with the last one, of its node.
func (m *machine) end(u *unit, r run.Result) {
	n := u.node
	u.state = ended
	u.res = r
	n.open--
	if n.step.ForEach == nil {
		n.end(r)
		return
	}
	if n.open == 0 && n.next == len(n.units) {
		n.end(n.collect())
	}
}

func (n *node) end(r run.Result) {
	n.state = ended
	n.result = r
}

// stepVar is what expressions see of a step that has ended.
func (n *node) stepVar() plan.StepVar {
	v := plan.StepVar{Output: n.result.Output, Error: n.result.Error, Attempts: n.result.Attempts}
	if n.step.ForEach == nil {
		v.TimedOut = !n.skipped && n.step.Action.Kind().TimedOut(n.result.Error, n.result.Output)
		return v
	}
	v.Elements = n.elementList
	return v
}

// failure says which elements of a forEach failed, for the history.
func (n *node) failure() string {
	failed := run.FailedElements{Of: len(n.units)}
	for i := len(n.units) - 1; i >= 0; i-- {
		if u := n.units[i]; u.res.Error != "" {
			failed.Count++
			failed.First = i
			failed.Error = u.res.Error
		}
	}
	return failed.String()
}

// elementList is what expressions see of the elements of a forEach.
func (n *node) elementList() []plan.Element {
	all := make([]plan.Element, len(n.units))
	for i, u := range n.units {
		all[i] = plan.Element{Index: i, Item: u.item, Output: u.res.Output, Error: u.res.Error}
	}
	return all
}

// collect makes the result of a forEach step: the outputs in order. A failed
// element (onError: Continue) is null there, and the first error is the step's.
func (n *node) collect() run.Result {
	all := run.Result{Start: n.since.UnixMilli()}
	size := 2
	for _, u := range n.units {
		size += len(u.res.Output) + 5
	}
	list := append(make([]byte, 0, size), '[')
	var end int64
	for i, u := range n.units {
		if i > 0 {
			list = append(list, ',')
		}
		if len(u.res.Output) > 0 {
			list = append(list, u.res.Output...)
		} else {
			list = append(list, "null"...)
		}
		if all.Error == "" {
			all.Error = u.res.Error
		}
		all.Attempts = max(all.Attempts, u.res.Attempts)
		end = max(end, u.res.Start+u.res.Duration)
	}
	list = append(list, ']')
	all.Output = list
	all.Duration = max(0, end-all.Start)
	return all
}

// due returns the earliest time at which a waiting unit must be looked at, and
// whether any unit waits at all.
func (m *machine) due() (earliest time.Time, waits bool) {
	for _, n := range m.nodes {
		for _, u := range n.units {
			if u.state != waiting {
				continue
			}
			waits = true
			if due := millis(u.due()); !due.IsZero() && (earliest.IsZero() || due.Before(earliest)) {
				earliest = due
			}
		}
	}
	return earliest, waits
}

// millis is the time of ms since 1970; the zero time for 0.
func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// ticks reports whether a waiting unit becomes due by itself.
func (m *machine) ticks() bool {
	due, _ := m.due()
	return !due.IsZero()
}
