package engine

import (
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// pure computes: set, assert. It is not in the journal: each execution computes
// it anew and finds the same, so that it costs nothing but the computing.
type pure struct{ plan.Pure }

func (a pure) begin(x *execution, u *unit) *run.Failure {
	output, err := a.Compute(&x.scope)
	start, end := u.prog.Since, x.Now().UnixMilli()
	if x.resumed { // an earlier execution has computed it already, then
		start = x.since(u.node)
		end = start
	}
	return x.endNow(u, start, end, output, err)
}

func (a pure) recall(x *execution, u *unit) *run.Failure { return a.begin(x, u) }

func (pure) mark() run.Kind { return "" }
func (pure) told() bool     { return false }
