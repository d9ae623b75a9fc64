package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// patience is how long a handler may ignore the end of its context before its
// goroutine is given up.
const patience = time.Second

// execution is one run on one runner. Its loop owns every field; attempts run
// in goroutines of their own and report through events.
type execution struct {
	*Engine
	run     *Run
	machine *machine // the list of steps that is being walked
	main    *machine // in onFailure: the steps of the run that failed
	scope   plan.Scope
	clock   time.Time // of this advance
	leg     *leg
	parent  context.Context // of every leg
	moved   atomic.Bool     // a handler was given up, and the loop runs in another goroutine
	out     Outcome         // how the execution ended
	err     error
	ready   []*attempt      // may begin; launched after each advance
	failed  *run.Failure    // of the leg
	over    *Next           // of the leg: nothing comes next
	durable context.Context // for the journal: what was done is written down even when the leg's ctx has ended
	running int
	wrote   atomic.Bool // the journal holds a result, and with it the version
	subs    fixedResults
	nested  map[string][]string // paths of operations in the journal, by the unit of their handler
	replay  bool                // only pure steps are taken
	asOf    time.Time           // with replay: when it was
	failure *run.Failure
	begun   time.Time
	waits   []run.Wait
	resumed bool  // an execution before this one has begun the run
	origin  int64 // ms, when the first steps of the machine could begin
	parks   int   // how often the run came to wait before; counted for the Observer
}

// leg is one walk over a list of steps, as its attempts see it: they may
// outlive it.
type leg struct {
	ctx    context.Context // ends with the run's timeout, an interruption, a failure
	cancel context.CancelCauseFunc
	timer  *time.Timer // of the run's timeout; may be nil
	events chan completion
	left   atomic.Bool // nobody waits for its attempts any more
}

// leave ends the leg: a handler that was given up may still run.
func (l *leg) leave() {
	l.left.Store(true)
	l.cancel(nil)
	if l.timer != nil {
		l.timer.Stop()
	}
}

// completion is what an attempt reports.
type completion struct {
	unit    *unit
	result  run.Result   // how the unit ended, unless one of the following is set
	wants   []want       // the handler of the unit waits for these; prog is without them
	waits   bool         // it has not ended; prog says until when it waits
	prog    run.Progress // with waits
	stopped bool         // the attempt was cut short and does not count
	err     error        // the journal could not be written
}

var (
	// errFailed ends the other branches of a run once one has failed.
	errFailed = errors.New("another step of the run failed")
	// errOver ends what is still at work once nothing comes next.
	errOver = errors.New("the run is over")
)

// Execute takes the run as far as it goes. The error is one of the journal
// (the run is to be tried again elsewhere), of a damaged journal, or
// ErrElsewhere.
func (e *Engine) Execute(ctx context.Context, r *Run) (Outcome, error) {
	x := &execution{Engine: e, run: r, begun: e.Now(), parent: ctx, durable: context.WithoutCancel(ctx)}
	x.wrote.Store(len(r.Results) > 0)
	x.resumed = len(r.Results)+len(r.Progress) > 0
	x.origin = r.StartedAt.UnixMilli()
	x.countParks()
	x.scope = plan.Scope{
		Event: &r.Event, Env: e.Env,
		Run: plan.RunVar{ID: r.ID, Function: r.Function, Attempt: r.Attempt, StartedAt: r.StartedAt},
	}
	x.scope.Step = x.stepVar
	x.machine = newMachine(r.Steps)
	if b, failedBefore := r.Results[run.FailureField]; failedBefore {
		fixed, err := run.DecodeResult(run.FailureField, b)
		if err != nil {
			return Outcome{}, err
		}
		x.failure = run.FailureOf(&fixed)
		_ = x.recall(millis(fixed.Start)) // why the run failed is fixed
		x.recallFailure()
		x.origin = fixed.Start
		x.onFailure()
	} else {
		x.walk()
	}
	if x.moved.Load() {
		return Outcome{}, ErrElsewhere
	}
	return x.out, x.err
}

// machines are the lists of steps that the run has walked, in their order.
func (x *execution) machines() []*machine {
	if x.main == nil {
		return []*machine{x.machine}
	}
	return []*machine{x.main, x.machine}
}

// done notes, or tells, how the execution ended.
func (x *execution) done(out Outcome, err error) {
	if x.moved.Load() {
		x.run.Elsewhere(out, err)
		return
	}
	x.out, x.err = out, err
}

// end takes what a leg has come to: a failure of the steps is followed by
// those of onFailure, everything else is the end.
func (x *execution) end(out Outcome, err error) {
	x.leg.leave()
	switch {
	case err != nil:
		x.done(Outcome{}, err)
	case x.main != nil:
		x.done(x.afterFailure(out), nil)
	case out.Kind == Failed:
		x.fail(out)
	default:
		x.done(out, nil)
	}
}

// fail fixes why the run failed and takes its onFailure steps.
func (x *execution) fail(out Outcome) {
	x.failure = out.Failure
	if x.run.OnFailure == nil {
		x.done(out, nil)
		return
	}
	fixed, err := x.fix(run.FailureField, *x.failure.Result(x.Now()))
	if err != nil {
		x.done(Outcome{}, err)
		return
	}
	x.failure = run.FailureOf(&fixed)
	x.origin = fixed.Start
	x.onFailure()
}

// recall takes the machine to where the journal says it was and begins nothing,
// for the expressions of onFailure and for the history. Pure steps are not in
// the journal: they are computed anew, and a sleep is over if it was at that
// time. It returns the first failure.
func (x *execution) recall(asOf time.Time) (first *run.Failure) {
	x.replay, x.asOf = true, asOf
	defer func() { x.replay = false }()
	for {
		f := x.advance() // each failure ends a step, and the next turn passes it over
		if f == nil {
			return first
		}
		if first == nil {
			first = f
		}
	}
}

// recallFailure ends the step whose failure failed the run: its own result is
// not in the journal.
func (x *execution) recallFailure() {
	if n := x.machine.find(x.failure.Step); n != nil && n.state != ended {
		n.end(run.Result{Error: x.failure.Message, Attempts: x.failure.Attempts, Start: n.since.UnixMilli()})
	}
}

// onFailure takes the onFailure steps of a run that has failed.
func (x *execution) onFailure() {
	x.scope.Error = &plan.ErrorVar{Message: x.failure.Message, Step: x.failure.Step, Attempts: x.failure.Attempts}
	x.main, x.machine = x.machine, newMachine(x.run.OnFailure)
	x.walk()
}

// afterFailure is what a run has come to whose onFailure steps were walked.
func (x *execution) afterFailure(out Outcome) Outcome {
	out.Steps = append(x.records(x.main), out.Steps...)
	if out.Kind == Parked || out.Kind == Interrupted || out.Kind == Cancelled {
		return out
	}
	if out.Kind == Failed {
		x.failure.OnFailure = out.Failure.Message
	}
	out.Kind, out.Failure, out.Output = Failed, x.failure, nil
	return out
}

// walk takes the machine's steps as far as they go.
func (x *execution) walk() {
	ctx, stop := context.WithCancelCause(x.parent)
	x.leg = &leg{ctx: ctx, cancel: stop, events: make(chan completion, 1)}
	x.failed = nil
	x.over = nil
	if x.run.Cancel.attach(stop) {
		_ = x.recall(x.Now()) // for the history; what had failed does not matter any more
		x.loop()
		return
	}
	if left, bounded := x.timeLeft(); bounded && left <= 0 {
		stop(errTimeout)
		x.failed = x.recall(x.Now())
	} else if bounded {
		x.leg.timer = time.AfterFunc(left, func() { stop(errTimeout) })
	}
	x.loop()
}

// loop begins what can begin and takes what is reported, until nothing runs.
func (x *execution) loop() {
	for {
		if x.failed == nil && x.over == nil && x.leg.ctx.Err() == nil {
			x.failWith(x.advance())
		}
		done, mine := x.launch()
		if !mine {
			return // the handler was given up; the loop runs elsewhere
		}
		if done.unit == nil {
			if x.running == 0 {
				x.end(x.settle())
				return
			}
			done = x.next()
		}
		if !x.take(done) {
			return
		}
	}
}

// resume goes on with a run whose handler was given up: the goroutine that is
// in it touches the execution no more.
func (x *execution) resume(done completion) {
	if x.take(done) {
		x.loop()
	}
}

// take takes over what an attempt reported; false means that the journal
// failed, and the execution with it.
func (x *execution) take(done completion) bool {
	if done.unit == nil {
		return true
	}
	if done.err != nil {
		x.running--
		x.abandon()
		x.end(Outcome{}, done.err)
		return false
	}
	x.failWith(x.apply(done))
	return true
}

// failWith notes the first failure of the leg, and ends its other attempts.
func (x *execution) failWith(f *run.Failure) {
	if f != nil && x.failed == nil {
		x.failed = f
		x.leg.cancel(errFailed)
	}
}

// next waits for an attempt to report, or for a waiting step of another branch
// to be due (then without a unit). Attempts always report: those that do not
// return in time are given up.
func (x *execution) next() completion {
	due, _ := x.machine.due()
	if due.IsZero() {
		return <-x.leg.events
	}
	timer := time.NewTimer(max(0, due.Sub(x.Now())))
	defer timer.Stop()
	select {
	case done := <-x.leg.events:
		return done
	case <-timer.C:
		return completion{}
	}
}

// abandon lets the attempts under way report to nobody.
func (x *execution) abandon() {
	open, leg := x.running, x.leg
	x.running = 0
	leg.left.Store(true)
	leg.cancel(errFailed)
	if open == 0 {
		return
	}
	go func() {
		for range open {
			<-leg.events
		}
	}()
}
