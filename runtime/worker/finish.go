package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// park puts a run aside. again means that something it waits for has come.
func (s *session) park(l *load, out engine.Outcome) (again bool, err error) {
	if errors.Is(context.Cause(s.runCtx), engine.ErrFenced) {
		return false, store.ErrFenced
	}
	p := store.Park{Ref: &l.ref, Due: out.Due, Awaits: out.Awaits, Progress: out.Progress}
	if l.plan.Timeout > 0 { // nothing else asks for it
		p.Active = out.Active
	}
	if out.Kind == engine.Interrupted {
		p.Wake, p.Awaits = true, nil
	}
	return s.parkAs(l, p)
}

func (s *session) parkAs(l *load, p store.Park) (again bool, err error) {
	p.Restate = p.Restate || l.restate
	if p.Meta, err = json.Marshal(l.meta); err != nil {
		return false, fmt.Errorf("encode run %s: %w", l.ref.RunID, err)
	}
	result, err := s.committer.Park(background, p)
	if err != nil {
		return false, err
	}
	if result == store.ParkOK {
		s.noteDue(p.Due)
		s.metrics.parked.Inc()
		if s.log.Enabled(background, slog.LevelDebug) {
			s.log.Debug("run parked", append(l.about(), "event", l.meta.Event.ID, "until", p.Due)...)
		}
	}
	return result == store.ParkAgain, nil
}

// finish ends a run: history, parent, idempotency key.
func (s *session) finish(l *load, out engine.Outcome) error {
	now := s.now()
	rec := record(l, out, now)
	f := store.Finish{Ref: &l.ref, Record: run.AppendRecord(make([]byte, 0, recordBytes), rec), Failed: out.Kind == engine.Failed, Waits: out.Waits}
	if out.Kind == engine.Cancelled {
		f.Cancelled, f.Reason, f.Children = true, out.Failure.Message, out.Children
	}
	if l.ref.Parent != nil {
		f.Result = engine.ChildResult(l.meta.StartedAt, now, &out)
	}
	holds := l.meta.Once != "" && l.meta.Follows == "" && l.meta.ReplayOf == ""
	if holds && out.Kind == engine.Cancelled {
		f.OnceKey = l.meta.Once // free again: nobody has done what it stands for
	} else if holds {
		outcome, err := json.Marshal(onceOutcome{Output: out.Output, Failure: out.Failure})
		if err != nil {
			return fmt.Errorf("encode the outcome of run %s: %w", l.ref.RunID, err)
		}
		f.OnceKey, f.Outcome = l.meta.Once, outcome
	}
	counted, err := s.committer.Finish(background, f)
	var request *run.CancelRequest
	if errors.As(err, &request) { // asked for while the last step ended: it ends in no other way
		l.cancel.Ask(request.Reason)
		out.Kind, out.Failure = engine.Cancelled, &run.Failure{Message: l.cancel.Reason()}
		return s.finish(l, out)
	}
	if err != nil {
		return err
	}
	if !counted {
		s.log.Debug("run had ended elsewhere; nothing was written", l.about()...)
		return nil
	}
	s.report(l, rec, now.Sub(l.meta.Event.Time))
	return nil
}

// onceOutcome is what runs that meet an idempotency key later are told.
type onceOutcome struct {
	Output  json.RawMessage `json:"o,omitempty"`
	Failure *run.Failure    `json:"f,omitempty"`
}
