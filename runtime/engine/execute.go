package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
)

// failurePath is the journal field that fixes why a run failed, before its
// onFailure steps begin.
const failurePath = "@failure"

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
	ctx     context.Context // ends with the run's timeout, an interruption, a failure
	durable context.Context // for the journal: what was done is written down even when ctx has ended
	cancel  context.CancelCauseFunc
	events  chan completion
	running int
	wrote   atomic.Bool // the journal holds a result, and with it the version
	failure *Failure
	begun   time.Time
	waits   []Wait
}

// completion is what an attempt reports.
type completion struct {
	unit    *unit
	result  result   // how the unit ended, unless one of the following is set
	waits   bool     // it has not ended; prog says until when it waits
	prog    progress // with waits
	stopped bool     // the attempt was cut short and does not count
	err     error    // the journal could not be written
}

// errFailed ends the other branches of a run once one has failed.
var errFailed = errors.New("another step of the run failed")

// Execute takes the run as far as it goes. The error is one of the journal
// (the run is to be tried again elsewhere) or of a damaged journal.
func (e *Engine) Execute(ctx context.Context, run *Run) (Outcome, error) {
	x := &execution{Engine: e, run: run, begun: e.Now(), durable: context.WithoutCancel(ctx)}
	x.wrote.Store(len(run.Results) > 0)
	x.scope = plan.Scope{
		Event: &run.Event, Env: e.Env,
		Run: plan.RunVar{ID: run.ID, Function: run.Plan.Function, Attempt: run.Attempt, StartedAt: run.StartedAt},
	}
	x.scope.Step = x.stepVar
	if b, ok := run.Results[failurePath]; ok {
		r, err := decodeResult(failurePath, b)
		if err != nil {
			return Outcome{}, err
		}
		x.failure = &Failure{Message: r.Error, Step: r.stepName(), Attempts: r.Attempts}
		x.machine = newMachine(run.Plan.Steps)
		if err := x.recall(); err != nil {
			return Outcome{}, err
		}
		return x.onFailure(ctx)
	}
	x.machine = newMachine(run.Plan.Steps)
	out, err := x.walk(ctx)
	if err != nil || out.Kind != Failed {
		return out, err
	}
	return x.fail(ctx, out)
}

// fail fixes why the run failed and takes its onFailure steps.
func (x *execution) fail(ctx context.Context, out Outcome) (Outcome, error) {
	x.failure = out.Failure
	if len(x.run.Plan.OnFailure) == 0 {
		return out, nil
	}
	fixed := result{Error: x.failure.Message, Attempts: x.failure.Attempts, Start: x.Now().UnixMilli()}
	fixed.setStepName(x.failure.Step)
	if !x.wrote.Load() {
		fixed.Version = x.run.Plan.Hash
	}
	b, err := x.run.Journal.Commit(x.durable, failurePath, fixed.encode())
	if err != nil {
		return Outcome{}, err
	}
	if fixed, err = decodeWinner(failurePath, b, fixed); err != nil {
		return Outcome{}, err
	}
	x.failure = &Failure{Message: fixed.Error, Step: fixed.stepName(), Attempts: fixed.Attempts}
	return x.onFailure(ctx)
}

// recall takes the results of the run's steps from the journal, for the
// expressions of onFailure and for the history.
func (x *execution) recall() error {
	for _, n := range x.machine.nodes {
		b, ok := x.run.Results[n.step.Name]
		if !ok {
			continue
		}
		r, err := decodeResult(n.step.Name, b)
		if err != nil {
			return err
		}
		n.state, n.result = ended, r
	}
	return nil
}

// onFailure takes the onFailure steps of a run that has failed.
func (x *execution) onFailure(ctx context.Context) (Outcome, error) {
	x.scope.Error = &plan.ErrorVar{Message: x.failure.Message, Step: x.failure.Step, Attempts: x.failure.Attempts}
	x.main, x.machine = x.machine, newMachine(x.run.Plan.OnFailure)
	out, err := x.walk(ctx)
	out.Steps = append(x.main.records(), out.Steps...)
	if err != nil || out.Kind == Parked || out.Kind == Interrupted {
		return out, err
	}
	if out.Kind == Failed {
		x.failure.OnFailure = out.Failure.Message
	}
	out.Kind, out.Failure, out.Output = Failed, x.failure, nil
	return out, nil
}

// walk takes the machine's steps as far as they go.
func (x *execution) walk(parent context.Context) (Outcome, error) {
	x.events = make(chan completion, 1)
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	x.ctx, x.cancel = ctx, stop
	if left, bounded := x.timeLeft(); bounded && left <= 0 {
		stop(errTimeout)
	} else if bounded {
		defer time.AfterFunc(left, func() { stop(errTimeout) }).Stop()
	}
	var failed *Failure
	for {
		if failed == nil && ctx.Err() == nil {
			if failed = x.advance(); failed != nil {
				stop(errFailed)
			}
		}
		if x.running == 0 {
			return x.settle(parent, failed)
		}
		done, alive := x.next(ctx)
		if !alive {
			return x.settle(parent, failed)
		}
		if done.unit == nil {
			continue
		}
		if done.err != nil {
			x.running--
			x.abandon()
			return Outcome{}, done.err
		}
		if f := x.apply(done); f != nil && failed == nil {
			failed = f
			stop(errFailed)
		}
	}
}

// next waits for an attempt to report, or for a waiting step of another branch
// to be due (then without a unit). Once the context has ended it waits no
// longer than patience allows; false means that what still runs was given up.
func (x *execution) next(ctx context.Context) (completion, bool) {
	var wake <-chan time.Time
	if due, _ := x.machine.due(); !due.IsZero() {
		timer := time.NewTimer(max(0, due.Sub(x.Now())))
		defer timer.Stop()
		wake = timer.C
	}
	select {
	case done := <-x.events:
		return done, true
	case <-wake:
		return completion{}, true
	case <-ctx.Done():
	}
	timer := time.NewTimer(2 * patience)
	defer timer.Stop()
	select {
	case done := <-x.events:
		return done, true
	case <-timer.C:
		x.abandon()
		return completion{}, false
	}
}

// abandon lets the attempts under way report to nobody.
func (x *execution) abandon() {
	left, events := x.running, x.events
	x.running = 0
	x.cancel(errFailed)
	if left == 0 {
		return
	}
	go func() {
		for range left {
			<-events
		}
	}()
}

// settle says what the execution has come to, once nothing runs.
func (x *execution) settle(parent context.Context, failed *Failure) (Outcome, error) {
	out := Outcome{Steps: x.machine.records(), Waits: x.waits, Active: x.run.Active + x.Now().Sub(x.begun)}
	switch {
	case failed != nil:
		out.Kind, out.Failure = Failed, failed
		return out, nil
	case x.machine.done():
		output, err := x.output()
		if err != nil {
			out.Kind, out.Failure = Failed, &Failure{Message: err.Error()}
			return out, nil
		}
		out.Kind, out.Output = Finished, output
		return out, nil
	case parent.Err() != nil:
		out.Kind, out.Progress = Interrupted, x.openProgress()
		return out, nil
	case errors.Is(context.Cause(x.ctx), errTimeout):
		out.Kind, out.Failure = Failed, x.timeoutFailure()
		return out, nil
	}
	due, any := x.machine.due()
	if !any {
		return out, fmt.Errorf("run %s of %s can neither go on nor wait: this is a bug of the engine", x.run.ID, x.run.Plan.Function)
	}
	if end := x.deadline(); !end.IsZero() && (due.IsZero() || end.Before(due)) {
		due = end
	}
	out.Kind, out.Due, out.Progress, out.Awaits = Parked, due, x.openProgress(), x.awaited()
	return out, nil
}

// openProgress encodes the state of every unit that has begun and not ended.
func (x *execution) openProgress() map[string][]byte {
	open := map[string][]byte{}
	for _, n := range x.machine.nodes {
		for _, u := range n.units {
			if u.state != pending && u.state != ended && u.prog != (progress{}) {
				open[u.path] = u.prog.encode()
			}
		}
	}
	return open
}

// awaited lists the paths that something from outside completes.
func (x *execution) awaited() []string {
	var paths []string
	for _, n := range x.machine.nodes {
		if n.step.Wait == nil && n.step.Invoke == nil {
			continue
		}
		for _, u := range n.units {
			if u.state != waiting {
				continue
			}
			paths = append(paths, u.path)
			if n.step.Wait != nil && n.step.Wait.If != nil {
				paths = append(paths, CandidateField(u.path))
			}
		}
	}
	return paths
}

func (x *execution) output() ([]byte, error) {
	if v := x.run.Plan.Output; v != nil && x.failure == nil {
		out, err := v.JSON(&x.scope)
		if err != nil {
			return nil, fmt.Errorf("spec.output: %w", err)
		}
		if len(out) > wildout.MaxOutputBytes {
			return nil, fmt.Errorf("spec.output is %d bytes, the limit is %d", len(out), wildout.MaxOutputBytes)
		}
		return out, nil
	}
	return x.machine.nodes[len(x.machine.nodes)-1].result.Output, nil
}

// stepVar is `steps.<name>` for expressions.
func (x *execution) stepVar(name string) (plan.StepVar, bool) {
	n := x.machine.find(name)
	if n == nil && x.main != nil {
		n = x.main.find(name)
	}
	if n == nil || n.state != ended {
		return plan.StepVar{}, false
	}
	return plan.StepVar{Output: n.result.Output, Error: n.result.Error, Attempts: n.result.Attempts}, true
}
