package engine

import (
	"encoding/json"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// handler calls a handler of the runner: an attempt, and others after it as the
// retry policy says. The progress has the failed ones.
type handler plan.Handler

func (a *handler) begin(x *execution, u *unit) *run.Failure {
	if u.prog.Due > x.clock.UnixMilli() {
		return u.wait()
	}
	var input json.RawMessage
	if a.With != nil {
		var err error
		if input, err = a.With.JSON(&x.scope); err != nil {
			return x.refuse(u, "with: %w", err)
		}
	}
	x.prepare(u, a.Name, input)
	return nil
}

func (a *handler) recall(_ *execution, u *unit) *run.Failure { return u.wait() }

func (*handler) mark() run.Kind { return run.KindHandler }
func (*handler) told() bool     { return false }
