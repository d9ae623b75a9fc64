package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
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
	}
	return x.endUnit(u, done.result)
}

// final reports whether the result of u may travel with the end of the run. It
// may not where something can still fail that onFailure steps would see it by.
func (x *execution) final(u *unit) bool {
	observed := x.failure == nil && len(x.run.Plan.OnFailure) > 0
	if observed && x.run.Plan.Output != nil {
		return false
	}
	return x.machine.last(u, observed)
}

// attempt is one call of a handler.
type attempt struct {
	x     *execution
	leg   *leg
	unit  *unit
	name  string // of the handler
	input json.RawMessage
	prog  run.Progress // with this attempt counted
	start time.Time
	ctx   context.Context
	final bool
	here  bool // called by the loop itself
	seen  Attempt

	// The fields below belong to the watch.
	index int       // place in its list; -1 once it was taken out
	ended time.Time // when ctx was first seen to have ended
}

// prepare makes a unit ready for an attempt; launch begins it.
func (x *execution) prepare(u *unit, handler string, input json.RawMessage) {
	u.state = running
	x.running++
	a := &attempt{x: x, leg: x.leg, unit: u, name: handler, input: input, prog: u.prog, final: x.final(u)}
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
	a.seen = Attempt{Step: u.node.step.Name, Path: u.path, Handler: a.name, Number: a.prog.Attempts, Start: a.start}
	parent := x.begins(a.leg.ctx, &a.seen)
	info := wildout.RunInfo{
		RunID: x.run.ID, Function: x.run.Plan.Function, Step: u.path, Attempt: a.prog.Attempts,
		IdempotencyKey: x.run.ID + "/" + u.path, Deadline: time.Now().Add(u.node.step.Timeout),
		EventID: x.run.Event.ID, TraceParent: a.seen.TraceParent, TraceState: a.seen.TraceState,
	}
	ctx, cancel := wildout.NewStepContext(parent, info, &subSteps{x: x, leg: a.leg, path: u.path})
	defer cancel()
	a.ctx = ctx
	x.watch.add(a)
	output, err := a.call()
	if !x.watch.remove(a) {
		return completion{}, false
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && a.leg.ctx.Err() == nil {
		err = fmt.Errorf("the attempt took longer than its time-out of %s: %w", u.node.step.Timeout, err)
	}
	return a.judge(output, err), true
}

func (a *attempt) call() (json.RawMessage, error) {
	handler, ok := a.x.Handlers.Lookup(a.name)
	if !ok {
		return nil, wildout.NonRetriable(fmt.Errorf("this runner has no handler %q; it has: %v", a.name, a.x.Handlers.Names()))
	}
	return handler(a.ctx, a.input)
}

// giveUp goes on without the handler: its step has failed, and only its
// goroutine is lost.
func (a *attempt) giveUp() {
	a.final = false
	done := a.judge(nil, fmt.Errorf("handler %s did not return within %s of its time-out of %s: it ignores its context, and its goroutine is given up",
		a.name, patience, a.unit.node.step.Timeout))
	if a.here {
		a.x.resume(done)
		return
	}
	a.leg.events <- done
}

// judge turns the end of an attempt into what it means for the step.
func (a *attempt) judge(output json.RawMessage, err error) completion {
	x, u, prog := a.x, a.unit, a.prog
	step, now := u.node.step, x.Now()
	r := run.Result{Output: output, Attempts: prog.Attempts, Start: a.start.UnixMilli(), Duration: now.Sub(a.start).Milliseconds(), Tries: prog.Tries}
	if err == nil {
		x.ends(&a.seen, AttemptOK, now, nil)
		if a.final {
			return completion{unit: u, result: r}
		}
		return x.commit(a.leg, u, r)
	}
	if a.leg.ctx.Err() != nil {
		x.ends(&a.seen, AttemptInterrupted, now, err)
		return completion{unit: u, stopped: true}
	}
	var broken *journalError
	if errors.As(err, &broken) {
		x.ends(&a.seen, AttemptInterrupted, now, err)
		return completion{unit: u, err: broken}
	}
	if wait, put := wildout.SnoozeDelay(err); put {
		prog.Attempts-- // the handler did nothing
		prog.Error, prog.Due = clip(err.Error()), now.Add(max(time.Millisecond, wait)).UnixMilli()
		a.seen.Wait = wait
		x.ends(&a.seen, AttemptSnoozed, now, err)
		return completion{unit: u, waits: true, prog: prog}
	}
	if !wildout.IsNonRetriable(err) && prog.Attempts < step.Retry.MaxAttempts {
		wait, asked := wildout.RetryDelay(err)
		if !asked {
			wait = backoff(step.Retry, prog.Attempts)
		}
		prog.Error, prog.Due = clip(err.Error()), now.Add(max(time.Millisecond, wait)).UnixMilli()
		prog.Tries = prog.Tries.Add(a.start, now.Sub(a.start), err)
		a.seen.Wait = wait
		x.ends(&a.seen, AttemptRetry, now, err)
		return completion{unit: u, waits: true, prog: prog}
	}
	x.ends(&a.seen, AttemptFailed, now, err)
	r.Output, r.Error = nil, clip(err.Error())
	if prog.Attempts > 1 {
		r.Tries = prog.Tries.Add(a.start, now.Sub(a.start), err)
	}
	if step.ContinueOnError && !a.final {
		return x.commit(a.leg, u, r)
	}
	return completion{unit: u, result: r}
}

// maxErrorBytes bounds what is stored of an error; a stack of a panic fits.
const maxErrorBytes = 8 << 10

func clip(s string) string { return run.Cut(s, maxErrorBytes) }
