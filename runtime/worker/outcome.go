package worker

import (
	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// outcomeOf says in the words of admission how an execution ended.
func outcomeOf(out *engine.Outcome) admission.Outcome {
	o := admission.Outcome{Status: run.Succeeded, Output: out.Output, Steps: recordSteps(out.Steps), Waits: waitRefs(out.Waits)}
	switch out.Kind {
	case engine.Failed:
		o.Status = run.Failed
	case engine.Cancelled:
		o.Status = run.Cancelled
		o.Children = childRefs(out.Children)
	}
	if f := out.Failure; f != nil {
		o.Failure = &run.Failure{Message: f.Message, Step: f.Step, Attempts: f.Attempts, OnFailure: f.OnFailure}
	}
	return o
}

func childRefs(children []engine.Child) []run.Child {
	all := make([]run.Child, len(children))
	for i, c := range children {
		all[i] = run.Child{Function: c.Function, RunID: c.RunID, Path: c.Path}
	}
	return all
}

func waitRefs(waits []engine.Wait) []run.Wait {
	if len(waits) == 0 {
		return nil
	}
	refs := make([]run.Wait, len(waits))
	for i := range waits {
		refs[i] = waitRef(&waits[i])
	}
	return refs
}

func waitRef(w *engine.Wait) run.Wait {
	return run.Wait{EventType: w.Event, Match: matchText(w.Match), Value: w.Value, Path: w.Path, HasIf: w.HasIf}
}

// recordSteps lists steps, each followed by its parts.
func recordSteps(steps []engine.StepRecord) []run.StepRecord {
	n := len(steps)
	for i := range steps {
		n += len(steps[i].Parts)
	}
	all := make([]run.StepRecord, 0, n)
	for i := range steps {
		all = append(all, run.StepRecord{})
		recordStep(&all[len(all)-1], &steps[i])
		for j := range steps[i].Parts {
			all = append(all, run.StepRecord{})
			recordStep(&all[len(all)-1], &steps[i].Parts[j])
		}
	}
	return all
}

func recordStep(r *run.StepRecord, step *engine.StepRecord) {
	r.Name = step.Name
	r.Status = run.StepStatus(step.Status)
	r.Attempts = step.Attempts
	r.Millis = step.Duration.Milliseconds()
	r.Error = step.Error
	r.Output = step.Output
	r.Elements = step.Elements
	if !step.Start.IsZero() {
		r.Start = &step.Start
	}
	for _, t := range step.Tries {
		r.Tries = append(r.Tries, run.Try{Start: t.Start, Millis: t.Duration.Milliseconds(), Error: t.Error})
	}
}
