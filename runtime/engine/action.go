package engine

import (
	"encoding/json"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// action is an action of a plan as the machine takes it. Each kind has a file
// that says all of it; nothing else in the engine asks which kind it is.
type action interface {
	// begin takes the action of a unit, or goes on with it: the unit ends, waits,
	// or something is at work for it. The scope has the unit's item.
	begin(x *execution, u *unit) *run.Failure
	// recall takes the unit to where it was, as far as that can be told, and
	// touches nothing.
	recall(x *execution, u *unit) *run.Failure
	// mark is what the progress of a unit says that it does.
	mark() run.Kind
	// told reports whether an Observer is told when the step has passed: it sees
	// attempts begin and end, and what is computed does not concern it.
	told() bool
}

// fromOutside is an action whose end comes from outside: somebody else writes
// the result into the journal.
type fromOutside interface {
	action
	// awaits are the fields of the journal by which the run is woken.
	awaits(u *unit) []string
	// standing is the wait that was registered for the unit; nil: none was.
	standing(x *execution, u *unit) *run.Wait
	// child is the run that was started for the unit; nil: none was.
	child(u *unit) *run.Child
}

// nesting is an action that has operations below it.
type nesting interface {
	action
	// restore makes those that an earlier execution has left.
	restore(x *execution, u *unit) *run.Failure
}

// actionOf returns the action of a step. Pure kinds need no line here.
func actionOf(a plan.Action) action {
	switch a := a.(type) {
	case plan.Pure:
		return pure{a}
	case *plan.Handler:
		return (*handler)(a)
	case *plan.Sleep:
		return (*sleep)(a)
	case *plan.WaitForEvent:
		return (*waitForEvent)(a)
	case *plan.SendEvent:
		return (*sendEvent)(a)
	case *plan.Invoke:
		return (*invoke)(a)
	}
	panic(fmt.Sprintf("the engine has no action for a %T: it belongs into actionOf", a))
}

// operation is an action that a handler may wait for. Its progress is all that
// the next execution has of it.
type operation interface {
	action
	// operation is what the progress does not say besides.
	operation() *run.Operation
	// does says what it does, after "an operation that": another one under its
	// name does something else.
	does() string
}

// actionFrom returns the action of an operation that is only in the journal.
func actionFrom(p *run.Progress) (plan.Action, error) {
	switch p.Kind {
	case run.KindSleep:
		return &plan.Sleep{}, nil // until when is in the progress
	case run.KindWait:
		return waitFrom(p.Operation)
	case run.KindInvoke:
		o := p.Operation
		again := &plan.Invoke{Function: o.Function, Timeout: time.Duration(o.Timeout) * time.Millisecond}
		if len(o.Data) > 0 {
			again.Data = plan.Constant(o.Data)
		}
		return again, nil
	}
	return nil, fmt.Errorf("the journal has an operation of the unknown kind %q: a newer release wrote it", p.Kind)
}

// begin takes the action of a unit, or goes on with it.
func (x *execution) begin(u *unit) *run.Failure {
	x.scope.Item = u.item
	x.scope.Index = u.index
	defer func() { x.scope.Item = nil }()
	if x.replay {
		return u.node.action.recall(x, u)
	}
	return u.node.action.begin(x, u)
}

// wait leaves a unit as it is.
func (u *unit) wait() *run.Failure {
	u.state = waiting
	return nil
}

// endNow ends a unit that is over since start, at end, without a commit: a
// second execution finds the same. Times are in ms.
func (x *execution) endNow(u *unit, start, end int64, output json.RawMessage, err error) *run.Failure {
	r := run.Result{Output: output, Attempts: 1, Start: start, Duration: max(0, end-start)}
	if err == nil && len(output) > wildout.MaxOutputBytes {
		err = fmt.Errorf("the output is %d bytes, the limit is %d", len(output), wildout.MaxOutputBytes)
	}
	if err != nil {
		r.Output, r.Error = nil, err.Error()
	}
	return x.endUnit(u, r)
}

// refuse ends a unit whose action cannot be taken: its expressions fail.
func (x *execution) refuse(u *unit, format string, args ...any) *run.Failure {
	return x.endNow(u, u.prog.Since, x.Now().UnixMilli(), nil, fmt.Errorf(format, args...))
}

// jsonOrEmpty is the value, or {} where it was left out.
func jsonOrEmpty(v *plan.Value, scope *plan.Scope) (json.RawMessage, error) {
	if v == nil {
		return json.RawMessage("{}"), nil
	}
	return v.JSON(scope)
}
