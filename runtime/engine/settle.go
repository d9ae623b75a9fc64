package engine

import (
	"context"
	"errors"
	"fmt"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// finished adds the output to what an execution has come to. An output that
// cannot be computed fails the run.
func (x *execution) finished(out Outcome) Outcome {
	output, err := x.output()
	if err != nil {
		out.Kind, out.Failure = Failed, &run.Failure{Message: err.Error()}
		return out
	}
	out.Kind, out.Output = Finished, output
	return out
}

// interrupted reports whether the runner stops, or was fenced.
func (x *execution) interrupted() bool { return x.parent.Err() != nil }

// settle says what the execution has come to, once nothing runs.
func (x *execution) settle() (Outcome, error) {
	out := Outcome{Steps: x.records(x.machine), Waits: x.waits, Active: x.run.Active + x.Now().Sub(x.begun)}
	switch {
	case x.cancelled():
		out.Kind, out.Failure, out.Children = Cancelled, &run.Failure{Message: x.run.Cancel.Reason()}, x.children()
		return out, nil
	case x.failed != nil:
		out.Kind, out.Failure, out.Children = Failed, x.failed, x.children()
		return out, nil
	case x.machine.done():
		return x.finished(out), nil
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
	return out, nil
}

// openProgress encodes the state of every unit that has begun and not ended,
// and of those that have no result.
func (x *execution) openProgress() map[string][]byte {
	open := map[string][]byte{}
	for _, m := range x.machines() {
		for _, n := range m.nodes {
			for _, u := range n.units {
				switch {
				case u.state == ended && u.timed && !u.begun:
					open[u.path] = u.prog.Encode()
				case m == x.machine && u.state != pending && u.state != ended && !u.prog.Empty():
					prog := u.prog
					prog.Parks = x.parks + 1
					open[u.path] = prog.Encode()
				}
			}
		}
	}
	return open
}

// awaited lists the fields of the journal that something from outside writes.
func (x *execution) awaited() []string {
	var fields []string
	for _, n := range x.machine.nodes {
		a, outside := n.action.(fromOutside)
		if !outside {
			continue
		}
		for _, u := range n.units {
			if u.state == waiting {
				fields = append(fields, a.awaits(u)...)
			}
		}
	}
	return fields
}

func (x *execution) output() ([]byte, error) {
	if v := x.run.Plan.Output; v != nil && x.failure == nil {
		out, err := v.JSON(&x.scope)
		if err != nil {
			return nil, fmt.Errorf("spec.output: %w", err)
		}
		if len(out) > wildout.MaxOutputBytes {
			return nil, fmt.Errorf("spec.output is %d bytes, the limit is %d", len(out), wildout.MaxOutputBytes)
		}
		return out, nil
	}
	return x.machine.nodes[len(x.machine.nodes)-1].result.Output, nil
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
