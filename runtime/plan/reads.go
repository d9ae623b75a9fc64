package plan

import (
	"slices"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Reads are the event types that a function reads: it has a consumer group on
// the stream of each. There is one place that says which they are, for runners,
// the operator, the console and metrics alike.
type Reads struct {
	// Triggers are those that start runs.
	Triggers []string
	// Waits are those that steps wait for; one may be among Triggers, too.
	Waits []string
}

// ReadsOf returns what a spec reads, also of one that does not compile: the
// operator keeps what such a function had.
func ReadsOf(spec *v1alpha1.WildoutFunctionSpec) Reads {
	var r Reads
	for i := range spec.Triggers {
		r.Triggers = addType(r.Triggers, spec.Triggers[i].Event)
	}
	for _, steps := range [][]v1alpha1.Step{spec.Steps, spec.OnFailure} {
		for i := range steps {
			if wait := steps[i].WaitForEvent; wait != nil {
				r.Waits = addType(r.Waits, wait.Event)
			}
		}
	}
	return r
}

// Reads returns what the function reads.
func (p *Plan) Reads() Reads { return ReadsOf(p.Spec) }

// Types returns all of them, each once: those of triggers first.
func (r Reads) Types() []string {
	types := slices.Clone(r.Triggers)
	for _, t := range r.Waits {
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types
}

func addType(types []string, t v1alpha1.EventTypeName) []string {
	if t == "" || slices.Contains(types, string(t)) { // "": a schedule
		return types
	}
	return append(types, string(t))
}
