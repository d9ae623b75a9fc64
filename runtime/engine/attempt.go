package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// spawn runs work for a unit in a goroutine of its own.
func (x *execution) spawn(u *unit, work func() completion) {
	u.state = running
	x.running++
	leg := x.leg
	x.Routines.Go(func() { leg.events <- work() })
}

// apply takes over what an attempt reported.
func (x *execution) apply(done completion) *run.Failure {
	u := done.unit
	x.running--
	switch {
	case done.stopped:
		u.state = waiting // not counted: another execution begins it again
		return nil
	case done.waits:
		u.prog, u.state = done.prog, waiting
		return nil
	case done.wants != nil:
		u.park(done.prog, done.wants)
		return nil
	}
	return x.endUnit(u, done.result)
}

// final reports whether the result of u may travel with the end of the run. It
// may not where something can still fail that onFailure steps would see it by.
func (x *execution) final(u *unit) bool {
	observed := x.failure == nil && x.run.OnFailure != nil
	if g := x.machine.graph; g == nil || observed && g.output != nil {
		return false
	}
	return x.machine.last(u, observed)
}

// attempt is one call of a handler.
type attempt struct {
	x       *execution
	leg     *leg
	unit    *unit
	handler *plan.Handler
	call    wildout.Handler
	input   json.RawMessage
	asked   asked
	before  map[string]string // what earlier calls have asked for, by path
	prog    run.Progress      // with this attempt counted
	start   time.Time
	ctx     context.Context
	final   bool
	here    bool // called by the loop itself
	seen    Attempt

	// The fields below belong to the watch.
	index int       // place in its list; -1 once it was taken out
	ended time.Time // when ctx was first seen to have ended
}

// prepare makes a unit ready for an attempt; launch begins it.
func (x *execution) prepare(u *unit, handler *plan.Handler, call wildout.Handler, input json.RawMessage) {
	u.state = running
	x.running++
	a := &attempt{x: x, leg: x.leg, unit: u, handler: handler, call: call, input: input, prog: u.prog, final: x.final(u), before: u.deeds()}
	a.prog.Attempts++
	x.ready = append(x.ready, a)
}

// launch begins the attempts that are ready. One that has nothing beside it,
// and nothing that becomes due meanwhile, is taken here and its completion returned; mine is false when it was given up
// meanwhile, and the run goes on elsewhere.
func (x *execution) launch() (done completion, mine bool) {
	ready := x.ready
	x.ready = x.ready[:0]
	switch {
	case x.leg.ctx.Err() != nil:
		for _, a := range ready {
			a.unit.state = waiting
			x.running--
		}
	case len(ready) == 1 && x.running == 1 && x.run.Elsewhere != nil && !x.machine.ticks():
		ready[0].here = true
		return ready[0].do()
	default:
		for _, a := range ready {
			x.Routines.Go(func() {
				if done, mine := a.do(); mine {
					a.leg.events <- done
				}
			})
		}
	}
	return completion{}, true
}

// do calls the handler; mine is false when the attempt was given up meanwhile.
func (a *attempt) do() (done completion, mine bool) {
	x, u := a.x, a.unit
	a.start = x.Now()
	a.seen = Attempt{Step: u.node.step.Name, Path: u.path, Handler: a.handler.Name, Number: a.prog.Attempts, Start: a.start}
	parent := x.begins(a.leg.ctx, &a.seen)
	info := wildout.RunInfo{
		RunID: x.run.ID, Function: x.run.Function, Step: u.path, Attempt: a.prog.Attempts,
		IdempotencyKey: x.run.ID + "/" + u.path, Deadline: x.local().Add(a.timeout()),
		EventID: x.run.Event.ID, TraceParent: a.seen.TraceParent, TraceState: a.seen.TraceState,
	}
	ctx, cancel := wildout.NewStepContext(parent, info, &subSteps{a: a, path: u.path})
	defer cancel()
	a.ctx = ctx
	x.watch.add(a)
	output, err := a.call(ctx, a.input)
	if !x.watch.remove(a) {
		return completion{}, false
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && a.leg.ctx.Err() == nil {
		err = fmt.Errorf("the attempt took longer than its time-out of %s: %w", a.timeout(), err)
	}
	return a.judge(output, err), true
}

// giveUp goes on without the handler: its step has failed, and only its
// goroutine is lost.
func (a *attempt) giveUp() {
	a.final = false
	a.asked.end()
	done := a.failed(a.x.Now(), fmt.Errorf("handler %s did not return within %s of its time-out of %s: it ignores its context, and its goroutine is given up",
		a.handler.Name, patience, a.timeout()))
	if a.here {
		a.x.resume(done)
		return
	}
	a.leg.events <- done
}

// judge turns the end of an attempt into what it means for the step.
func (a *attempt) judge(output json.RawMessage, err error) completion {
	now := a.x.Now()
	wants := a.asked.end()
	switch {
	case wildout.Parked(a.ctx) && len(wants) > 0:
		return a.parked(now, err, wants)
	case err != nil:
		return a.failed(now, err)
	}
	a.x.ends(&a.seen, AttemptOK, now, nil)
	r := a.result(now)
	r.Output = output
	if a.final {
		return completion{unit: a.unit, result: r}
	}
	return a.x.commit(a.leg, a.unit, r)
}

func (a *attempt) result(now time.Time) run.Result {
	return run.Result{Attempts: a.prog.Attempts, Start: a.start.UnixMilli(), Duration: now.Sub(a.start).Milliseconds(), Tries: a.prog.Tries}
}

// cutShort is what an attempt means that came to no end of its own: the leg is
// over, or the journal has failed. It does not count.
func (a *attempt) cutShort(now time.Time, err error) (completion, bool) {
	var broken *journalError
	done := completion{unit: a.unit}
	switch {
	case a.leg.ctx.Err() != nil:
		done.stopped = true
	case errors.As(err, &broken):
		done.err = broken
	default:
		return done, false
	}
	a.x.ends(&a.seen, AttemptInterrupted, now, err)
	return done, true
}

// parked ends the attempt of a handler that waits. It has not succeeded and has
// not failed, whatever it returned.
func (a *attempt) parked(now time.Time, err error, wants []want) completion {
	if done, cut := a.cutShort(now, err); cut {
		return done
	}
	prog := a.prog
	prog.Attempts--
	prog.Error, prog.Due = "", 0
	a.x.ends(&a.seen, AttemptParked, now, nil)
	return completion{unit: a.unit, wants: wants, prog: prog}
}

// failed says what the failure of an attempt means.
func (a *attempt) failed(now time.Time, err error) completion {
	if done, cut := a.cutShort(now, err); cut {
		return done
	}
	x, u, prog := a.x, a.unit, a.prog
	step := u.node.step
	if wait, put := wildout.SnoozeDelay(err); put {
		prog.Attempts-- // the handler did nothing
		return a.again(now, prog, wait, AttemptSnoozed, err)
	}
	if !wildout.IsNonRetriable(err) && prog.Attempts < step.Retry.MaxAttempts {
		wait, asked := wildout.RetryDelay(err)
		if !asked {
			wait = backoff(step.Retry, prog.Attempts)
		}
		prog.Tries = prog.Tries.Add(a.start, now.Sub(a.start), err)
		return a.again(now, prog, wait, AttemptRetry, err)
	}
	x.ends(&a.seen, AttemptFailed, now, err)
	r := a.result(now)
	r.Error = clip(err.Error())
	if prog.Attempts > 1 {
		r.Tries = prog.Tries.Add(a.start, now.Sub(a.start), err)
	}
	if step.ContinueOnError && !a.final {
		return x.commit(a.leg, u, r)
	}
	return completion{unit: u, result: r}
}

// again lets another attempt follow in wait.
func (a *attempt) again(now time.Time, prog run.Progress, wait time.Duration, how AttemptResult, err error) completion {
	prog.Error, prog.Due = clip(err.Error()), now.Add(max(time.Millisecond, wait)).UnixMilli()
	a.seen.Wait = wait
	a.x.ends(&a.seen, how, now, err)
	return completion{unit: a.unit, waits: true, prog: prog}
}

// timeout bounds the attempt.
func (a *attempt) timeout() time.Duration {
	return cmp.Or(a.unit.node.step.Timeout, plan.DefaultStepTimeout)
}

// maxErrorBytes bounds what is stored of an error; a stack of a panic fits.
const maxErrorBytes = 8 << 10

func clip(s string) string { return run.Cut(s, maxErrorBytes) }
