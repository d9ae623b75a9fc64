package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/store"
)

// park puts a run aside. again means that something it waits for has come.
func (s *session) park(l *load, out engine.Outcome) (again bool, err error) {
	if errors.Is(context.Cause(s.runCtx), engine.ErrFenced) {
		return false, store.ErrFenced
	}
	p := store.Park{Ref: &l.ref, Due: out.Due, Awaits: out.Awaits, Progress: out.Progress}
	if l.run.Plan.Timeout > 0 { // nothing else asks for it
		p.Active = out.Active
	}
	if out.Kind == engine.Interrupted {
		p.Wake, p.Awaits = true, nil
	}
	return s.parkAs(l, p)
}

func (s *session) parkAs(l *load, p store.Park) (again bool, err error) {
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
		s.log.Debug("run parked", "run", l.ref.RunID, "event", l.meta.Event.ID, "until", p.Due)
	}
	return result == store.ParkAgain, nil
}

// finish ends a run: history, parent, idempotency key.
func (s *session) finish(l *load, out engine.Outcome) error {
	now := s.now()
	rec := record(l, out, now)
	f := store.Finish{Ref: &l.ref, Record: store.AppendRecord(nil, rec), Failed: out.Kind == engine.Failed, Waits: waitRefs(out.Waits)}
	if l.ref.Parent != nil {
		f.Result = engine.ChildResult(l.meta.StartedAt, now, out.Output, out.Failure)
	}
	if l.meta.Once != "" && l.meta.Follows == "" {
		outcome, err := json.Marshal(onceOutcome{Output: out.Output, Failure: out.Failure})
		if err != nil {
			return fmt.Errorf("encode the outcome of run %s: %w", l.ref.RunID, err)
		}
		f.OnceKey, f.Outcome = l.meta.Once, outcome
	}
	counted, err := s.committer.Finish(background, f)
	if err != nil {
		return err
	}
	if !counted {
		s.log.Debug("run had ended elsewhere; nothing was written", "run", l.ref.RunID)
		return nil
	}
	s.report(rec, out, now.Sub(l.meta.Event.Time))
	return nil
}

// onceOutcome is what runs that meet an idempotency key later are told.
type onceOutcome struct {
	Output  json.RawMessage `json:"o,omitempty"`
	Failure *engine.Failure `json:"f,omitempty"`
}

func waitRefs(waits []engine.Wait) []store.WaitRef {
	if len(waits) == 0 {
		return nil
	}
	refs := make([]store.WaitRef, len(waits))
	for i, w := range waits {
		refs[i] = store.WaitRef{EventType: w.Event, Match: matchText(w.Match), Value: w.Value, Path: w.Path, HasIf: w.HasIf}
	}
	return refs
}

// record makes the history entry of a run.
func record(l *load, out engine.Outcome, now time.Time) *store.Record {
	r := &store.Record{ID: l.ref.RunID, Function: l.ref.Function, Status: store.Succeeded, EventID: l.meta.Event.ID, EventType: l.meta.Event.Type,
		Version: l.ref.Version, StartedAt: l.meta.StartedAt, EndedAt: &now, Output: out.Output, Follows: l.meta.Follows}
	r.Steps = make([]store.RecordStep, len(out.Steps))
	starts := make([]time.Time, len(out.Steps))
	for i, step := range out.Steps {
		rs := store.RecordStep{Name: step.Name, Status: string(step.Status), Attempts: step.Attempts, Millis: step.Duration.Milliseconds(), Error: step.Error}
		if !step.Start.IsZero() {
			starts[i] = step.Start
			rs.Start = &starts[i]
		}
		r.Steps[i] = rs
	}
	if out.Kind == engine.Failed {
		r.Status, r.Error, r.ErrorStep, r.Output = store.Failed, out.Failure.Message, out.Failure.Step, nil
		if out.Failure.OnFailure != "" {
			r.Error += "; and onFailure failed: " + out.Failure.OnFailure
		}
		r.Event = &l.meta.Event
	}
	return r
}
