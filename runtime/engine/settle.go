package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// interrupted reports whether the runner stops, or was fenced.
func (x *execution) interrupted() bool { return x.parent.Err() != nil }

// askAgain asks what comes next after an interruption or at the end of the
// run's time: the last step may have ended all the same.
func (x *execution) askAgain() {
	if x.over != nil || x.failed != nil || x.leg.ctx.Err() == nil || x.cancelled() {
		return
	}
	if next := x.machine.stepper.Next(Results{x, x.machine}); next.Done {
		x.failed = x.conclude(next)
	}
}

// settle says what the execution has come to, once nothing runs.
func (x *execution) settle() (Outcome, error) {
	x.askAgain()
	out := Outcome{Steps: x.records(x.machine), Waits: x.waits, Active: x.run.Active + x.Now().Sub(x.begun)}
	switch {
	case x.cancelled():
		out.Kind, out.Failure, out.Children = Cancelled, &run.Failure{Message: x.run.Cancel.Reason()}, x.children()
		return out, nil
	case x.failed != nil:
		out.Kind, out.Failure, out.Children = Failed, x.failed, x.children()
		return out, nil
	case x.over != nil:
		out.Kind, out.Output = Finished, x.over.Output
		return out, nil
	case x.interrupted():
		out.Kind, out.Progress = Interrupted, x.openProgress()
		return out, nil
	case errors.Is(context.Cause(x.leg.ctx), errTimeout):
		out.Kind, out.Failure, out.Children = Failed, x.timeoutFailure(), x.children()
		return out, nil
	}
	due, waits := x.machine.due()
	if !waits {
		return out, x.bug("can neither go on nor wait")
	}
	if end := x.deadline(); !end.IsZero() && (due.IsZero() || end.Before(due)) {
		due = end
	}
	out.Kind, out.Due, out.Progress, out.Awaits = Parked, due, x.openProgress(), x.awaited()
	out.Lacks = x.lacking()
	return out, nil
}

// openProgress encodes the state of every unit that has begun and not ended,
// and of those that have no result.
func (x *execution) openProgress() map[string][]byte {
	open := map[string][]byte{}
	for _, m := range x.machines() {
		for _, n := range m.nodes {
			n.each(func(u *unit) {
				switch {
				case u.state == ended && u.timed && !u.begun:
					open[u.path] = u.prog.Encode()
				case m == x.machine && u.state != pending && u.state != ended && !u.prog.Empty():
					prog := u.prog
					prog.Parks = x.parks + 1
					open[u.path] = prog.Encode()
				}
			})
		}
	}
	return open
}

// lacking lists the handlers that steps wait for.
func (x *execution) lacking() []string {
	var names []string
	for _, n := range x.machine.nodes {
		for _, u := range n.units {
			if u.state == waiting && u.lacks != "" && !slices.Contains(names, u.lacks) {
				names = append(names, u.lacks)
			}
		}
	}
	return names
}

// awaited lists the fields of the journal that something from outside writes.
func (x *execution) awaited() []string {
	var fields []string
	add := func(u *unit) {
		if a, outside := u.node.action.(fromOutside); outside && u.state == waiting {
			fields = append(fields, a.awaits(u)...)
		}
	}
	for _, n := range x.machine.nodes {
		for _, u := range n.units {
			add(u)
			for _, name := range u.prog.Wants {
				add(u.wanted(name))
			}
		}
	}
	return fields
}

// stepVar is `steps.<name>` for expressions.
func (x *execution) stepVar(name string) (plan.StepVar, bool) {
	n := x.machine.find(name)
	if n == nil && x.main != nil {
		n = x.main.find(name)
	}
	if n == nil || n.state != ended {
		return plan.StepVar{}, false
	}
	return n.stepVar(), true
}
