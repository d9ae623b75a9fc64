package worker

import (
	"errors"
	"fmt"
	"maps"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// ownedRun is a run that this runner has: what admission and the engine each
// need to know of it.
type ownedRun struct {
	admission.Run
	s    *session
	exec engine.Run
	// resumed: the journal knew it, so that it is not new to the function.
	resumed bool
	cancel  engine.Cancel
	seen    observer
}

// start begins a run, or starts again one whose runner died.
func (s *session) start(o *ownedRun, d delivery, version string) error {
	o.Identity.StartedAt = s.now()
	o.exec.ID = o.Ref.RunID
	o.exec.Event = o.Identity.Event
	o.exec.Attempt = int(d.Deliveries)
	if err := s.setPlan(o, version); err != nil {
		return s.finishUnstarted(o, err)
	}
	o.exec.StartedAt = o.Identity.StartedAt
	return s.admitAndExecute(o, d)
}

func (s *session) setPlan(o *ownedRun, version string) error {
	p, err := s.plans.get(background, version)
	if err != nil {
		return err
	}
	o.Plan = p
	o.exec.Plan = p
	o.Ref.Version = p.Hash
	o.Identity.Version = p.Hash
	return nil
}

// admitAndExecute runs a run once its limits let it.
func (s *session) admitAndExecute(o *ownedRun, d delivery) error {
	o.exec.Cancel = &o.cancel
	o.Redelivered = d.Deliveries > 1
	o.Stepped = len(o.exec.Results)+len(o.exec.Progress) > 0
	if d.work != nil {
		d.work.run.Store(o)
	}
	if err := s.lookForCancel(o, d); err != nil {
		return err
	}
	if o.cancel.Asked() {
		return s.endCancelled(o, d)
	}
	if d.poison != nil {
		s.metrics.poisoned.Inc()
		return s.finishUnstarted(o, d.poison)
	}
	if d.back {
		return s.admission.HandBack(background, &o.Run)
	}
	verdict, err := s.admission.Admit(background, &o.Run)
	d.decided()
	if err != nil || verdict != admission.Begins {
		return err
	}
	if err := s.fenced(); err != nil {
		s.leaveSlots(o)
		return err
	}
	o.exec.Journal = &journal{s: s, ref: &o.Ref, entry: d.ID, typ: d.Type, event: &o.exec.Event}
	o.exec.Elsewhere = func(out engine.Outcome, err error) { s.elsewhere(o, d, out, err) }
	s.observe(o)
	s.noteStart(o)
	s.metrics.inFlight.Inc()
	err = s.execute(o)
	if !errors.Is(err, engine.ErrElsewhere) {
		s.leaveRun(o)
	}
	return err
}

// leaveRun gives back what an admitted run holds.
func (s *session) leaveRun(o *ownedRun) {
	s.leaveSlots(o)
	s.metrics.inFlight.Dec()
}

func (s *session) leaveSlots(o *ownedRun) {
	if err := s.admission.Leave(background, &o.Run); err != nil {
		s.log.Warn("slots not given back yet; trying again with each heartbeat", "error", err)
	}
}

// elsewhere ends the processing of an entry whose handler was given up: the
// goroutine that began it is still in the handler.
func (s *session) elsewhere(o *ownedRun, d delivery, out engine.Outcome, err error) {
	err = s.persist(func() error {
		goesOn, err := s.settle(o, out, err)
		if goesOn {
			err = s.execute(o)
		}
		return err
	})
	if errors.Is(err, engine.ErrElsewhere) {
		return
	}
	s.leaveRun(o)
	d.release()
	s.note(d, err)
}

// execute runs an admitted run to its end, or until it is parked.
func (s *session) execute(o *ownedRun) error {
	for {
		out, err := s.engine.Execute(s.runCtx, &o.exec)
		if errors.Is(err, engine.ErrElsewhere) {
			return err
		}
		if goesOn, err := s.settle(o, out, err); err != nil || !goesOn {
			return err
		}
	}
}

// settle writes down what an execution has come to. goesOn means that the run
// need not wait: what it would have waited for is there.
func (s *session) settle(o *ownedRun, out engine.Outcome, err error) (goesOn bool, _ error) {
	if err != nil {
		if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrClosed) || store.Temporary(err) {
			return false, err
		}
		out = engine.Outcome{Kind: engine.Failed, Failure: &run.Failure{Message: err.Error()}}
	}
	if out.Kind == engine.Finished || out.Kind == engine.Failed || out.Kind == engine.Cancelled {
		return false, s.admission.End(background, &o.Run, outcomeOf(&out))
	}
	if goesOn, err := s.park(o, &out); err != nil || !goesOn {
		return false, err
	}
	j, err := s.Store.Load(background, s.Plan.Function, o.exec.ID)
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
func (s *session) park(o *ownedRun, out *engine.Outcome) (goesOn bool, err error) {
	if err := s.fenced(); err != nil {
		return false, err
	}
	p := store.Park{Due: out.Due, Awaits: out.Awaits, Progress: out.Progress}
	if o.Plan.Timeout > 0 { // nothing else asks for it
		p.Active = out.Active
	}
	if out.Kind == engine.Interrupted {
		p.Wake = true
		p.Awaits = nil
	}
	return port{s}.park(background, &o.Run, p)
}

// finishUnstarted fails a run before its first step.
func (s *session) finishUnstarted(o *ownedRun, cause error) error {
	o.Plan = s.Plan
	if o.Ref.Version == "" {
		o.Ref.Version = s.Plan.Hash
	}
	return s.admission.End(background, &o.Run, admission.Outcome{Status: run.Failed, Failure: &run.Failure{Message: cause.Error()}})
}

// reject sends an entry that can never run to the dead runs.
func (s *session) reject(o *ownedRun, d delivery, reason string) error {
	return s.admission.Reject(background, &o.Run, fmt.Sprintf("entry %s of %s: %s", d.ID, d.Stream, reason))
}
