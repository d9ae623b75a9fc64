package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

// spawn runs work for a unit in a goroutine of its own.
func (x *execution) spawn(u *unit, work func() completion) {
	u.state = running
	x.running++
	events := x.events
	x.Routines.Go(func() { events <- work() })
}

// apply takes over what an attempt reported.
func (x *execution) apply(done completion) *Failure {
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

// written writes a result with write and reports the one that holds.
func (x *execution) written(u *unit, r result, write func([]byte) ([]byte, error)) completion {
	// Of several first commits side by side each carries the version.
	if !x.wrote.Load() {
		r.Version = x.run.Plan.Hash
	}
	b, err := write(r.encode())
	if err != nil {
		return completion{unit: u, err: err}
	}
	x.wrote.Store(true)
	r, err = decodeWinner(u.path, b, r)
	return completion{unit: u, result: r, err: err}
}

func decodeWinner(path string, b []byte, mine result) (result, error) {
	if b == nil {
		return mine, nil
	}
	return decodeResult(path, b)
}

func (x *execution) commit(u *unit, r result) completion {
	return x.written(u, r, func(b []byte) ([]byte, error) { return x.run.Journal.Commit(x.durable, u.path, b) })
}

// await registers the wait of a unit and looks back.
func (x *execution) await(u *unit, wait Wait) completion {
	prog := u.prog
	found, seen, err := x.run.Journal.Await(x.durable, wait)
	if err != nil {
		return completion{unit: u, err: err}
	}
	if found == nil {
		prog.Seen = seen
		return completion{unit: u, waits: true, prog: prog}
	}
	b, err := json.Marshal(found)
	if err != nil {
		return completion{unit: u, err: fmt.Errorf("event %s of %s: %w", found.ID, found.Type, err)}
	}
	now := x.Now().UnixMilli()
	return x.commit(u, result{Output: b, Attempts: 1, Start: prog.Since, Duration: now - prog.Since})
}

// attempt calls the handler of a unit in a goroutine of its own. A handler
// that outlives its time-out by more than patience is given up: its step goes
// on as failed, and only its goroutine is lost.
func (x *execution) attempt(u *unit, input json.RawMessage) {
	u.state = running
	x.running++
	var reported atomic.Bool
	events, deadline := x.events, time.Now().Add(u.node.step.Timeout)
	final := x.machine.last(u)
	prog := u.prog
	prog.Attempts++
	start := x.Now()
	ctx, cancel := context.WithDeadline(x.ctx, deadline)
	watchdog := time.AfterFunc(u.node.step.Timeout+patience, func() {
		if reported.CompareAndSwap(false, true) {
			err := fmt.Errorf("handler %s did not return within %s of its time-out of %s: it ignores its context, and its goroutine is given up", u.node.step.Handler, patience, u.node.step.Timeout)
			events <- x.judge(u, prog, start, nil, err, false)
		}
	})
	x.Routines.Go(func() {
		defer cancel()
		output, err := x.call(ctx, u, prog.Attempts, deadline, input)
		if !reported.CompareAndSwap(false, true) {
			return
		}
		watchdog.Stop()
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && x.ctx.Err() == nil {
			err = fmt.Errorf("the attempt took longer than its time-out of %s: %w", u.node.step.Timeout, err)
		}
		events <- x.judge(u, prog, start, output, err, final)
	})
}

func (x *execution) call(ctx context.Context, u *unit, attempt int, deadline time.Time, input json.RawMessage) (json.RawMessage, error) {
	handler, ok := x.Handlers.Lookup(u.node.step.Handler)
	if !ok {
		return nil, wildout.NonRetriable(fmt.Errorf("this runner has no handler %q; it has: %v", u.node.step.Handler, x.Handlers.Names()))
	}
	info := wildout.RunInfo{
		RunID: x.run.ID, Function: x.run.Plan.Function, Step: u.path, Attempt: attempt,
		IdempotencyKey: x.run.ID + "/" + u.path, Deadline: deadline,
		EventID: x.run.Event.ID, TraceParent: x.run.Event.TraceParent,
	}
	return handler(wildout.WithInfo(ctx, info, &subSteps{x: x, path: u.path}), input)
}

// judge turns the end of an attempt into what it means for the step.
func (x *execution) judge(u *unit, prog progress, start time.Time, output json.RawMessage, err error, final bool) completion {
	step, now := u.node.step, x.Now()
	r := result{Output: output, Attempts: prog.Attempts, Start: start.UnixMilli(), Duration: now.Sub(start).Milliseconds()}
	if err == nil {
		if final {
			return completion{unit: u, result: r}
		}
		return x.commit(u, r)
	}
	if x.ctx.Err() != nil {
		return completion{unit: u, stopped: true}
	}
	var broken *journalError
	if errors.As(err, &broken) {
		return completion{unit: u, err: broken}
	}
	if !wildout.IsNonRetriable(err) && prog.Attempts < step.Retry.MaxAttempts {
		wait, asked := wildout.RetryDelay(err)
		if !asked {
			wait = backoff(step.Retry, prog.Attempts)
		}
		prog.Error, prog.Due = clip(err.Error()), now.Add(max(time.Millisecond, wait)).UnixMilli()
		return completion{unit: u, waits: true, prog: prog}
	}
	r.Output, r.Error = nil, clip(err.Error())
	if step.ContinueOnError && !final {
		return x.commit(u, r)
	}
	return completion{unit: u, result: r}
}

// maxErrorBytes bounds what is stored of an error; a stack of a panic fits.
const maxErrorBytes = 8 << 10

func clip(s string) string {
	if len(s) <= maxErrorBytes {
		return s
	}
	return s[:maxErrorBytes] + "… (cut)"
}
