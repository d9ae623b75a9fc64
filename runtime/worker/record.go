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
		Version: l.ref.Version, StartedAt: l.meta.StartedAt, EndedAt: &now, Steps: out.Steps, Output: out.Output, Follows: l.meta.Follows, ReplayOf: l.meta.ReplayOf}
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
