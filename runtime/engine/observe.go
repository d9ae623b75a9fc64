package engine

import (
	"context"
	"time"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// Observer is told what happens in a run, for metrics, traces and logs. It must
// return at once, and is called from several goroutines.
type Observer interface {
	// Begin is told that a handler, or a sub-step of one, is about to be called;
	// it may set TraceParent, TraceState and Mark. What is called gets the context
	// that it returns.
	Begin(ctx context.Context, a *Attempt) context.Context
	// End is told how that attempt ended, with the same Attempt.
	End(a *Attempt)
	// Passed is told of a step without a handler that has ended. failure is empty
	// when it ended well.
	Passed(path string, kind plan.Kind, start, end time.Time, failure string)
	// Sends returns the W3C trace context for what the step at path sends or
	// invokes.
	Sends(path string) (traceparent, tracestate string)
}

// Attempt is a call of a handler, or of a sub-step, as an Observer sees it.
type Attempt struct {
	Step    string // the name of the step in the plan
	Path    string // with the index of a forEach element and the name of the sub-step
	Handler string // "" for a sub-step
	Number  int    // from 1
	Start   time.Time

	// Begin sets these.
	TraceParent, TraceState string // for what the handler calls
	Mark                    any    // the observer's own

	// Set for End.
	Result AttemptResult
	Err    error
	Ended  time.Time
	Wait   time.Duration // until the next attempt, after Retry and Snoozed
}

// AttemptResult says how an attempt ended.
type AttemptResult string

// How an attempt can end.
const (
	AttemptOK      AttemptResult = "ok"
	AttemptFailed  AttemptResult = "failed"  // and there is no other one
	AttemptRetry   AttemptResult = "retry"   // it failed, and another one follows
	AttemptSnoozed AttemptResult = "snoozed" // the handler put it off; it does not count
	AttemptParked  AttemptResult = "parked"  // the handler waits, and is called again; it does not count
	// AttemptInterrupted: the runner stops, another step has failed, or the
	// journal could not be written; it does not count.
	AttemptInterrupted AttemptResult = "interrupted"
)

// countParks finds out how often the run came to wait. Every execution walks
// over all that has been; what was still open when the run last came to wait
// is what the Observer was not told of.
func (x *execution) countParks() {
	if x.run.Observer == nil {
		return
	}
	for path, b := range x.run.Progress {
		if p, err := run.DecodeProgress(path, b); err == nil { // what is damaged fails the run where it is read
			x.parks = max(x.parks, p.Parks)
		}
	}
}

// passed tells of a unit that has ended, unless an execution before this one
// saw the end.
func (x *execution) passed(u *unit, r *run.Result) {
	if x.run.Observer == nil || x.replay || u.past || !u.node.action.told() {
		return
	}
	x.run.Observer.Passed(u.path, u.node.step.Action.Kind(), millis(r.Start), millis(r.Start+r.Duration), r.Error)
}

// sends returns the trace context for what a step sends or invokes.
func (x *execution) sends(path string) (traceparent, tracestate string) {
	if x.run.Observer == nil {
		return x.run.Event.TraceParent, x.run.Event.TraceState
	}
	return x.run.Observer.Sends(path)
}

// begin tells of an attempt that begins.
func (x *execution) begins(ctx context.Context, a *Attempt) context.Context {
	a.TraceParent, a.TraceState = x.run.Event.TraceParent, x.run.Event.TraceState
	if x.run.Observer == nil {
		return ctx
	}
	return x.run.Observer.Begin(ctx, a)
}

// ends tells of an attempt that has ended.
func (x *execution) ends(a *Attempt, how AttemptResult, at time.Time, err error) {
	if x.run.Observer == nil {
		return
	}
	a.Result, a.Ended, a.Err = how, at, err
	x.run.Observer.End(a)
}
