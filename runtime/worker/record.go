package worker

import (
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// maxKeptEvent bounds the event that is kept with a run that succeeded, in bytes.
const maxKeptEvent = 4 << 10

// recordBytes is what a history entry of a few steps takes.
const recordBytes = 512

// record makes the history entry of a run.
func record(l *load, out engine.Outcome, now time.Time) *run.Record {
	r := &run.Record{ID: l.ref.RunID, Function: l.ref.Function, Status: run.Succeeded, EventID: l.meta.Event.ID, EventType: l.meta.Event.Type,
		Version: l.ref.Version, StartedAt: l.meta.StartedAt, EndedAt: &now, Output: out.Output, Follows: l.meta.Follows, ReplayOf: l.meta.ReplayOf}
	r.Steps = recordSteps(out.Steps)
	switch out.Kind {
	case engine.Failed:
		r.Status, r.Error, r.ErrorStep, r.Output = run.Failed, out.Failure.Message, out.Failure.Step, nil
		if out.Failure.OnFailure != "" {
			r.Error += "; and onFailure failed: " + out.Failure.OnFailure
		}
		r.Event = &l.meta.Event
	case engine.Cancelled:
		r.Status, r.Error, r.Output, r.Event = run.Cancelled, out.Failure.Message, nil, &l.meta.Event
	default:
		if e := &l.meta.Event; (l.meta.ReplayOf != "" || !published(e)) && len(e.Data) <= maxKeptEvent {
			r.Event = e // no stream has it, or not for as long
		}
	}
	return r
}

// published reports whether an event is, or was, in a stream.
func published(e *event.Event) bool { return e.Type != CronType && e.Type != engine.InvokeType }

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
	r.Name, r.Status, r.Attempts, r.Millis = step.Name, run.StepStatus(step.Status), step.Attempts, step.Duration.Milliseconds()
	r.Error, r.Output, r.Elements = step.Error, step.Output, step.Elements
	if !step.Start.IsZero() {
		r.Start = &step.Start
	}
	for _, t := range step.Tries {
		r.Tries = append(r.Tries, run.Try{Start: t.Start, Millis: t.Duration.Milliseconds(), Error: t.Error})
	}
}
