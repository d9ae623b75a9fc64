package engine

import (
	"encoding/json"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// handler calls a handler of the runner: an attempt, and others after it as the
// retry policy says. The progress has the failed ones. Where the handler waits,
// its unit waits for those of its operations, and it is called again when one of
// them has ended (nested.go).
type handler plan.Handler

func (a *handler) begin(x *execution, u *unit) *run.Failure {
	if u.prog.Due > x.clock.UnixMilli() {
		return u.wait()
	}
	call, here := x.Handlers.Lookup(a.Name)
	if !here {
		return x.lack(u, a.Name)
	}
	var input json.RawMessage
	if a.With != nil {
		var err error
		if input, err = a.With.JSON(&x.scope); err != nil {
			return x.refuse(u, "with: %w", err)
		}
	}
	x.prepare(u, (*plan.Handler)(a), call, input)
	return nil
}

// lack leaves a unit to a runner that has the handler: the run may have begun
// with another image, and it is no failure of the step that this one lacks code.
func (*execution) lack(u *unit, name string) *run.Failure {
	u.lacks = name
	u.prog.Due = 0 // time alone brings no handler
	return u.wait()
}

func (a *handler) recall(_ *execution, u *unit) *run.Failure { return u.wait() }

func (*handler) mark() run.Kind { return run.KindHandler }
func (*handler) told() bool     { return false }

// restore implements nesting.
func (*handler) restore(x *execution, u *unit) *run.Failure { return x.restore(u) }
