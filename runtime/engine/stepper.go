package engine

import (
	"encoding/json"
	"fmt"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// Stepper says what comes next in a run, given the results so far. The compiled
// plan is one (Follow); one that asks an application what it wants next returns
// the question as a step, and reads the answer from that step's result.
//
// A run is walked over anew in each execution, and what the journal has of a
// step is found by its name: a Stepper must say the same to the same results,
// and must do nothing but say it. It is asked by one goroutine at a time.
type Stepper interface {
	Next(so Results) Next
}

// Next is what comes next.
type Next struct {
	// Steps may begin now, side by side. They go their way once they were named:
	// those that were named before are passed over. Their actions have values in
	// place of expressions (plan.Constant), or expressions over the run.
	Steps []*plan.Step
	// Done ends the run, whatever is still open: with Failure, else with Output.
	Done    bool
	Output  json.RawMessage
	Failure *run.Failure
}

// Results are those of the steps so far.
type Results struct {
	x *execution
	m *machine
}

// Step returns what the step of that name has come to; false: it has not ended.
func (so Results) Step(name string) (plan.StepVar, bool) { return so.x.stepVar(name) }

// Follow makes p what the run does.
func (r *Run) Follow(p *plan.Plan) {
	r.Function = p.Function
	r.Version = p.Hash
	r.Timeout = p.Timeout
	r.Deadline = p.Deadline
	r.Steps = &graph{steps: p.Steps, output: p.Output}
	r.OnFailure = nil
	if len(p.OnFailure) > 0 {
		r.OnFailure = &graph{steps: p.OnFailure}
	}
}

// graph is the Stepper of a plan: all of its steps are known beforehand, and
// each may begin when those that it needs have ended.
type graph struct {
	steps  []*plan.Step
	output *plan.Value // nil: the output of the last step
}

// Next implements Stepper. The nodes of the machine are the steps of the graph.
func (g *graph) Next(so Results) Next {
	m := so.m
	m.next = m.next[:0]
	done := true
	for i, n := range m.nodes {
		if n.state == pending && g.ready(m, i) {
			m.next = append(m.next, g.steps[i])
		}
		done = done && n.state == ended
	}
	if !done {
		return Next{Steps: m.next}
	}
	output, err := g.result(so)
	if err != nil {
		return Next{Done: true, Failure: &run.Failure{Message: err.Error()}}
	}
	return Next{Done: true, Output: output}
}

func (g *graph) ready(m *machine, i int) bool {
	for _, need := range g.steps[i].Needs {
		if m.nodes[need].state != ended {
			return false
		}
	}
	return true
}

func (g *graph) result(so Results) (json.RawMessage, error) {
	if g.output == nil {
		return so.m.nodes[len(so.m.nodes)-1].result.Output, nil
	}
	out, err := g.output.JSON(&so.x.scope)
	if err != nil {
		return nil, fmt.Errorf("spec.output: %w", err)
	}
	if len(out) > wildout.MaxOutputBytes {
		return nil, fmt.Errorf("spec.output is %d bytes, the limit is %d", len(out), wildout.MaxOutputBytes)
	}
	return out, nil
}
