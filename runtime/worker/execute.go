package worker

import (
	"errors"
	"fmt"
	"maps"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// ownedRun is a run that this runner has: what admission and the engine each
// need to know of it.
type ownedRun struct {
	admission.Run
	processor *processor
	exec      engine.Run
	// resumed: the journal knew it, so that it is not new to the function.
	resumed bool
	cancel  engine.Cancel
	seen    observer
}

// start begins a run, or starts again one whose runner died.
func (p *processor) start(o *ownedRun, d delivery, version string) error {
	o.Identity.StartedAt = p.clock.now()
	o.exec.ID = o.Ref.RunID
	o.exec.Event = o.Identity.Event
	o.exec.Attempt = int(d.Deliveries)
	if err := p.setPlan(o, version); err != nil {
		return p.unread(o, d, err)
	}
	o.exec.StartedAt = o.Identity.StartedAt
	return p.admitAndExecute(o, d)
}

func (p *processor) setPlan(o *ownedRun, version string) error {
	plan, err := p.plans.get(background, version)
	if err != nil {
		return err
	}
	o.Plan = plan
	o.exec.Follow(plan)
	o.Ref.Version = plan.Hash
	o.Identity.Version = plan.Hash
	return nil
}

// admitAndExecute runs a run once its limits let it.
func (p *processor) admitAndExecute(o *ownedRun, d delivery) error {
	o.exec.Cancel = &o.cancel
	o.Redelivered = d.Deliveries > 1
	o.Stepped = len(o.exec.Results)+len(o.exec.Progress) > 0
	if d.work != nil {
		d.work.run.Store(o)
	}
	if err := p.lookForCancel(o, d); err != nil {
		return err
	}
	if o.cancel.Asked() {
		return p.endCancelled(o, d)
	}
	if d.poison != nil {
		p.metrics.poisoned.Inc()
		return p.finishUnstarted(o, d.poison)
	}
	if d.back {
		return p.admission.HandBack(background, &o.Run)
	}
	verdict, err := p.admission.Admit(background, &o.Run)
	d.decided()
	if err != nil || verdict != admission.Begins {
		return err
	}
	if err := p.lease.check(); err != nil {
		p.leaveSlots(o)
		return err
	}
	o.exec.Journal = &journal{processor: p, ref: &o.Ref, entry: d.ID, typ: d.Type, event: &o.exec.Event, identity: &o.Identity}
	o.exec.Elsewhere = func(out engine.Outcome, err error) { p.elsewhere(o, d, out, err) }
	p.observe(o)
	p.noteStart(o)
	p.metrics.inFlight.Inc()
	err = p.execute(o)
	if !errors.Is(err, engine.ErrElsewhere) {
		p.leaveRun(o)
	}
	return err
}

// leaveRun gives back what an admitted run holds.
func (p *processor) leaveRun(o *ownedRun) {
	p.leaveSlots(o)
	p.metrics.inFlight.Dec()
}

func (p *processor) leaveSlots(o *ownedRun) {
	if err := p.admission.Leave(background, &o.Run); err != nil {
		p.log.Warn("slots not given back yet; trying again with each heartbeat", "error", err)
	}
}

// elsewhere ends the processing of an entry whose handler was given up: the
// goroutine that began it is still in the handler.
func (p *processor) elsewhere(o *ownedRun, d delivery, out engine.Outcome, err error) {
	err = p.persist(func() error {
		goesOn, err := p.settle(o, out, err)
		if goesOn {
			err = p.execute(o)
		}
		return err
	})
	if errors.Is(err, engine.ErrElsewhere) {
		return
	}
	p.leaveRun(o)
	d.release()
	p.note(d, err)
}

// execute runs an admitted run to its end, or until it is parked.
func (p *processor) execute(o *ownedRun) error {
	for {
		out, err := p.engine.Execute(p.runs, &o.exec)
		if errors.Is(err, engine.ErrElsewhere) {
			return err
		}
		if goesOn, err := p.settle(o, out, err); err != nil || !goesOn {
			return err
		}
	}
}

// settle writes down what an execution has come to. goesOn means that the run
// need not wait: what it would have waited for is there.
func (p *processor) settle(o *ownedRun, out engine.Outcome, err error) (goesOn bool, _ error) {
	if err != nil {
		if errors.Is(err, runs.ErrFenced) || errors.Is(err, runs.ErrClosed) || store.Temporary(err) {
			return false, err
		}
		out = engine.Outcome{Kind: engine.Failed, Failure: &run.Failure{Message: err.Error()}}
	}
	if out.Kind == engine.Finished || out.Kind == engine.Failed || out.Kind == engine.Cancelled {
		return false, p.admission.End(background, &o.Run, outcomeOf(&out))
	}
	if goesOn, err := p.park(o, &out); err != nil || !goesOn {
		return false, err
	}
	j, err := p.store.Load(background, p.Plan.Function, o.exec.ID)
	if err != nil || j == nil {
		return false, err
	}
	o.exec.Results = j.Results
	o.exec.Progress = j.Progress
	o.exec.Active = out.Active
	// The park wrote nothing: the open steps are as this execution left them.
	maps.Copy(o.exec.Progress, out.Progress)
	return true, nil
}

// park puts a run aside. goesOn means that something it waits for has come.
func (p *processor) park(o *ownedRun, out *engine.Outcome) (goesOn bool, err error) {
	if err := p.lease.check(); err != nil {
		return false, err
	}
	park := runs.Park{Due: out.Due, Awaits: out.Awaits, Progress: out.Progress}
	if len(out.Lacks) > 0 {
		park.Lacks = &run.Lack{Handlers: out.Lacks, Version: o.Identity.Version}
	}
	if o.Plan.Timeout > 0 { // nothing else asks for it
		park.Active = out.Active
	}
	if out.Kind == engine.Interrupted {
		park.Wake = true
		park.Awaits = nil
	}
	if park.Lacks != nil {
		p.lacking(o, park.Lacks, nil)
	}
	return port{p}.park(background, &o.Run, park)
}

// finishUnstarted fails a run before its first step.
func (p *processor) finishUnstarted(o *ownedRun, cause error) error {
	o.Plan = p.Plan
	if o.Ref.Version == "" {
		o.Ref.Version = p.Plan.Hash
	}
	return p.admission.End(background, &o.Run, admission.Outcome{Status: run.Failed, Failure: &run.Failure{Message: cause.Error()}})
}

// reject sends an entry that can never run to the dead runs.
func (p *processor) reject(o *ownedRun, d delivery, reason string) error {
	return p.admission.Reject(background, &o.Run, fmt.Sprintf("entry %s of %s: %s", d.ID, d.Stream, reason))
}
