package worker

import (
	"errors"
	"maps"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// load is a run, ready to be executed, with what the store needs to know of it.
type load struct {
	run  engine.Run
	plan *plan.Plan // what the run follows
	ref  store.Ref
	meta run.Identity
	// resumed: the run began before, and keeps its place in a queue.
	resumed bool
	restate bool // what the journal has of meta is not what it is now
	keyed   []keyedSlot
	cancel  engine.Cancel
	seen    observer
}

// stepped reports whether the run has taken a step: its limits were passed then.
func (l *load) stepped() bool { return len(l.run.Results)+len(l.run.Progress) > 0 }

// follow makes p what the run does.
func (l *load) follow(p *plan.Plan) {
	l.plan = p
	l.run.Follow(p)
}

// begin starts a run, or starts again one whose runner died.
func (s *session) begin(l *load, d delivery, version string) error {
	l.meta.StartedAt = s.now()
	l.run.ID, l.run.Event, l.run.Attempt = l.ref.RunID, l.meta.Event, int(d.Deliveries)
	if err := s.setPlan(l, version); err != nil {
		return s.finishUnstarted(l, err)
	}
	l.run.StartedAt = l.meta.StartedAt
	return s.admitAndExecute(l, d)
}

func (s *session) setPlan(l *load, version string) error {
	p, err := s.plans.get(background, version)
	if err != nil {
		return err
	}
	l.follow(p)
	l.ref.Version = p.Hash
	l.meta.Version = p.Hash
	return nil
}

// admitAndExecute runs a run once its limits let it.
func (s *session) admitAndExecute(l *load, d delivery) error {
	l.run.Cancel = &l.cancel
	if d.work != nil {
		d.work.run.Store(l)
	}
	if err := s.lookForCancel(l, d); err != nil {
		return err
	}
	if l.cancel.Asked() {
		return s.endCancelled(l, d)
	}
	if d.poison != nil {
		s.metrics.poisoned.Inc()
		return s.finishUnstarted(l, d.poison)
	}
	if d.back {
		l.meta.Admitted = l.meta.Admitted || d.rated
		_, err := s.parkAs(l, store.Park{Ref: &l.ref, Wake: true, Restate: true})
		return err
	}
	admitted, err := s.admit(l, d)
	if err != nil || !admitted {
		return err
	}
	l.run.Journal = &journal{s: s, ref: &l.ref, entry: d.ID, typ: d.Type, event: &l.run.Event}
	l.run.Elsewhere = func(out engine.Outcome, err error) { s.goOn(l, d, out, err) }
	s.observe(l)
	s.noteStart(l)
	s.metrics.inFlight.Inc()
	err = s.execute(l)
	if !errors.Is(err, engine.ErrElsewhere) {
		s.leaveRun(l)
	}
	return err
}

// leaveRun gives back what an admitted run holds.
func (s *session) leaveRun(l *load) {
	s.keyed.release(l.keyed)
	s.metrics.inFlight.Dec()
}

// goOn ends the processing of an entry whose handler was given up: the
// goroutine that began it is still in the handler.
func (s *session) goOn(l *load, d delivery, out engine.Outcome, err error) {
	err = s.persist(func() error {
		again, err := s.settle(l, out, err)
		if again {
			err = s.execute(l)
		}
		return err
	})
	if errors.Is(err, engine.ErrElsewhere) {
		return
	}
	s.leaveRun(l)
	d.release()
	s.note(d, err)
}

// execute runs an admitted run to its end, or until it is parked.
func (s *session) execute(l *load) error {
	for {
		out, err := s.engine.Execute(s.runCtx, &l.run)
		if errors.Is(err, engine.ErrElsewhere) {
			return err
		}
		if again, err := s.settle(l, out, err); err != nil || !again {
			return err
		}
	}
}

// settle writes down what an execution has come to. again means that the run
// can go on at once: what it would have waited for is there.
func (s *session) settle(l *load, out engine.Outcome, err error) (again bool, _ error) {
	if err != nil {
		if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrClosed) || store.Temporary(err) {
			return false, err
		}
		return false, s.finish(l, engine.Outcome{Kind: engine.Failed, Failure: &run.Failure{Message: err.Error()}})
	}
	if out.Kind == engine.Finished || out.Kind == engine.Failed || out.Kind == engine.Cancelled {
		return false, s.finish(l, out)
	}
	if again, err := s.park(l, out); err != nil || !again {
		return false, err
	}
	j, err := s.Store.Load(background, s.Plan.Function, l.run.ID)
	if err != nil || j == nil {
		return false, err
	}
	l.run.Results, l.run.Progress, l.run.Active = j.Results, j.Progress, out.Active
	// The park wrote nothing: the open steps are as this execution left them.
	maps.Copy(l.run.Progress, out.Progress)
	return true, nil
}
