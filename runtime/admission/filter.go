package admission

import (
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
)

// Starts reports whether an event starts a run of a function. The error is one
// of a trigger's `if`, with its path, where no other trigger fits: then Refuse the event.
func (a *Admission) Starts(p *plan.Plan, e *event.Event) (bool, error) {
	var failed error
	for _, t := range p.Triggers {
		if t.Event != e.Type {
			continue
		}
		if t.If == nil {
			return true, nil
		}
		yes, err := t.If.Bool(&plan.Scope{Event: e, Env: a.Env})
		if yes {
			return true, nil
		}
		if err != nil {
			failed = err
		}
	}
	return false, failed
}
