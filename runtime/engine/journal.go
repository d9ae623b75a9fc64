package engine

import (
	"context"
	"fmt"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// Journal is what a run writes through. Every method returns when its write is
// durable, and may be called from several goroutines.
type Journal interface {
	// Commit fixes the result of a step and returns the result that holds:
	// value, or what another execution of the same run committed first.
	Commit(ctx context.Context, path string, value []byte) ([]byte, error)
	// Send commits like Commit and, in the same write, publishes the events
	// if value won.
	Send(ctx context.Context, path string, value []byte, events []OutEvent) ([]byte, error)
	// Await registers a wait and looks back over what was published since
	// wait.From. It returns the first event that fits, or nil and the position
	// up to which it looked.
	Await(ctx context.Context, wait Wait) (found *event.Event, seen string, err error)
	// Invoke starts a child run, once, however often it is called. False: there is
	// no such function, and nothing was started.
	Invoke(ctx context.Context, path string, progress []byte, child Child) (bool, error)
}

// OutEvent is an event to publish. With Dedupe, of events of one type with one
// id only the first is kept.
type OutEvent struct {
	Event  event.Event
	Dedupe bool
}

// Wait is a wait to register.
type Wait struct {
	run.Wait
	// At is Wait.Match; nil: any value.
	At       *plan.Path
	From     string // position in the stream; empty: where the run began
	Progress []byte
	// Fits evaluates waitForEvent.if; Match was checked before.
	Fits func(*event.Event) (bool, error)
}

// Child is a run to start in another function.
type Child struct {
	run.Child
	Event event.Event
}

// journalError marks a failure of the journal inside a handler: it is not the
// handler's.
type journalError struct{ err error }

func (e *journalError) Error() string { return e.err.Error() }
func (e *journalError) Unwrap() error { return e.err }

// write writes a result and returns the one that holds.
func (x *execution) write(path string, r run.Result, write func([]byte) ([]byte, error)) (run.Result, error) {
	// Of several first commits side by side each carries the version.
	if !x.wrote.Load() {
		r.Version = x.run.Version
	}
	b, err := write(r.Encode())
	if err != nil {
		return r, err
	}
	x.wrote.Store(true)
	if b == nil {
		return r, nil
	}
	return run.DecodeResult(path, b)
}

// fix commits a result and returns the one that holds.
func (x *execution) fix(path string, r run.Result) (run.Result, error) {
	return x.write(path, r, func(b []byte) ([]byte, error) { return x.run.Journal.Commit(x.durable, path, b) })
}

// written is write for a unit, as its completion. What comes from an attempt
// that was given up is not written: the run may have ended since.
func (x *execution) written(leg *leg, u *unit, r run.Result, write func([]byte) ([]byte, error)) completion {
	if leg.left.Load() {
		return completion{unit: u, stopped: true}
	}
	r, err := x.write(u.path, r, write)
	return completion{unit: u, result: r, err: err}
}

func (x *execution) commit(leg *leg, u *unit, r run.Result) completion {
	return x.written(leg, u, r, func(b []byte) ([]byte, error) { return x.run.Journal.Commit(x.durable, u.path, b) })
}

// spawnCommit commits a result beside the loop.
func (x *execution) spawnCommit(u *unit, r run.Result) {
	leg := x.leg
	x.spawn(u, func() completion { return x.commit(leg, u, r) })
}

// sign puts the version into a progress that may be the first field of the
// journal: a run is finished on the version that it began with.
func (x *execution) sign(u *unit) {
	if !x.wrote.Load() {
		u.prog.Version = x.run.Version
	}
}

// load takes over what the journal has of a unit.
func (x *execution) load(u *unit) *run.Failure {
	damaged := func(err error) *run.Failure { return &run.Failure{Message: err.Error(), Step: u.node.step.Name} }
	if b, ok := x.run.Progress[u.path]; ok {
		var err error
		if u.prog, err = run.DecodeProgress(u.path, b); err != nil {
			return damaged(err)
		}
		u.begun = true
	}
	if a, nests := u.node.action.(nesting); nests && len(x.run.Progress) > 0 {
		if f := a.restore(x, u); f != nil {
			return f
		}
	}
	if b, ok := x.run.Results[u.path]; ok {
		r, err := run.DecodeResult(u.path, b)
		if err != nil {
			return damaged(err)
		}
		u.past = u.prog.Parks == 0 || u.prog.Parks != x.parks
		if a, outside := u.node.action.(fromOutside); outside {
			x.remember(u, a)
			if u.prog.Since > 0 {
				// What ended the wait knew only when it came: the step began with the wait.
				r.Duration += max(0, r.Start-u.prog.Since)
				r.Start = min(r.Start, u.prog.Since)
			}
		}
		return x.endUnit(u, r)
	}
	if u.prog.Since == 0 {
		u.prog.Since = x.clock.UnixMilli()
	} else {
		u.past = u.prog.Parks != x.parks
		u.node.since = millis(u.prog.Since)
	}
	u.prog.Kind = u.node.action.mark()
	if a, ok := u.node.action.(operation); ok && u.nested {
		u.prog.Operation = a.operation()
	}
	return nil
}

// remember notes what an earlier execution has registered for a unit, so that
// it is taken back when the run ends.
func (x *execution) remember(u *unit, a fromOutside) {
	if u.looked || !u.begun {
		return
	}
	u.looked = true
	if w := a.standing(x, u); w != nil {
		x.waits = append(x.waits, *w)
	}
}

// bug is an error that nobody can mend but who writes the engine, or a stepper.
func (x *execution) bug(format string, args ...any) error {
	return fmt.Errorf("run %s of %s %w: this is a bug of the engine", x.run.ID, x.run.Function, fmt.Errorf(format, args...))
}
