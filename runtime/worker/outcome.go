package worker

import (
	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// outcomeOf says in the words of admission how an execution ended.
func outcomeOf(out *engine.Outcome) admission.Outcome {
	o := admission.Outcome{Status: run.Succeeded, Output: out.Output, Failure: out.Failure, Steps: out.Steps, Waits: out.Waits, Children: out.Children}
	switch out.Kind {
	case engine.Failed:
		o.Status = run.Failed
	case engine.Cancelled:
		o.Status = run.Cancelled
	}
	return o
}
