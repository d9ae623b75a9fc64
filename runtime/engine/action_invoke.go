package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// invoke starts a run of another function, in the same write as the progress
// that names it, and waits for it: the end of that run writes the result. While
// there is no such function it waits for one, as what belongs together may be
// applied in any order; invoke.timeout bounds both.
type invoke plan.Invoke

func (a *invoke) begin(x *execution, u *unit) *run.Failure {
	if u.prog.Child == "" {
		return a.start(x, u)
	}
	if now := x.clock.UnixMilli(); u.prog.Due > 0 && u.prog.Due <= now {
		bound := time.Duration(u.prog.Due-u.prog.Since) * time.Millisecond
		x.spawnCommit(u, run.Result{Attempts: 1, Start: u.prog.Since, Duration: now - u.prog.Since,
			Error: fmt.Sprintf("the invoked run %s of %s had not ended after %s (invoke.timeout); it goes on by itself", u.prog.Child, a.Function, bound)})
		return nil
	}
	return u.wait()
}

func (a *invoke) recall(_ *execution, u *unit) *run.Failure { return u.wait() }

func (*invoke) mark() run.Kind { return run.KindInvoke }
func (*invoke) told() bool     { return true }

func (*invoke) awaits(u *unit) []string { return []string{u.path} }

func (*invoke) standing(*execution, *unit) *run.Wait { return nil }

func (a *invoke) child(u *unit) *run.Child {
	if u.prog.Child == "" {
		return nil
	}
	return &run.Child{Function: a.Function, RunID: u.prog.Child, Path: u.path}
}

func (a *invoke) start(x *execution, u *unit) *run.Failure {
	data, err := jsonOrEmpty(a.Data, &x.scope)
	if err != nil {
		return x.refuse(u, "invoke.data: %w", err)
	}
	// The id has the time of the invocation: a run looks for events from there on.
	u.prog.Child = event.DerivedID(x.clock, a.Function, x.run.ID, u.path)
	end := int64(0)
	if a.Timeout > 0 {
		end = u.prog.Since + a.Timeout.Milliseconds()
	}
	if now := x.clock.UnixMilli(); end > 0 && end <= now {
		x.spawnCommit(u, run.Result{Attempts: 1, Start: u.prog.Since, Duration: now - u.prog.Since,
			Error: fmt.Sprintf("there has been no function %s for %s (invoke.timeout): correct the name, or apply it to this namespace", a.Function, a.Timeout)})
		return nil
	}
	absent := u.prog
	absent.Child = ""
	u.prog.Due = end
	u.prog.Error = ""
	x.sign(u)
	child := Child{Child: *a.child(u), Event: x.sent(u.path, u.prog.Child, event.InvokeType, x.clock.UTC().Truncate(time.Millisecond), data)}
	prog := u.prog
	x.spawn(u, func() completion {
		started, err := x.run.Journal.Invoke(x.durable, u.path, prog.Encode(), child)
		if !started && err == nil {
			a.await(&absent, x.Now(), end, data)
			return completion{unit: u, waits: true, prog: absent}
		}
		return completion{unit: u, waits: true, prog: prog, err: err}
	})
	return nil
}

// How long it takes until a function that is not there is looked for again: as
// long as it was waited for so far, within these bounds.
const (
	soonestLook = 2 * time.Second
	latestLook  = time.Minute
)

// await notes that there is no such function, and when to look again.
func (a *invoke) await(prog *run.Progress, now time.Time, end int64, data json.RawMessage) {
	if prog.Operation != nil { // nobody calls the handler to find out
		prog.Operation = &run.Operation{Function: a.Function, Data: data, Timeout: a.Timeout.Milliseconds()}
	}
	waited := time.Duration(now.UnixMilli()-prog.Since) * time.Millisecond
	prog.Due = now.Add(min(max(waited, soonestLook), latestLook)).UnixMilli()
	if end > 0 {
		prog.Due = min(prog.Due, end)
	}
	prog.Error = fmt.Sprintf("there is no function %s in this namespace: the step waits until there is", a.Function)
}

func (a *invoke) operation() *run.Operation { return &run.Operation{Function: a.Function} }
func (a *invoke) does() string              { return plan.KindInvoke.Verb() + " " + a.Function }

// Invoke implements wildout.SubSteps.
func (s *subSteps) Invoke(_ context.Context, name string, call wildout.InvokeCall) (json.RawMessage, error) {
	r, err := s.await(name, func() (plan.Action, error) {
		err := plan.CheckFunction(call.Function)
		if err == nil {
			err = event.Check(call.Data)
		}
		return &plan.Invoke{Function: call.Function, Data: plan.Constant(call.Data), Timeout: call.Timeout}, wildout.NonRetriable(err)
	})
	if err == nil && r.Error != "" {
		err = wildout.NonRetriable(&wildout.InvokeError{Function: call.Function, Message: r.Error})
	}
	return r.Output, err
}
