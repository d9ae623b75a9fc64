package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/telemetry"
)

// delivery is a stream entry that this runner was given.
type delivery struct {
	store.Entry
	rated bool // the unkeyed rate limit was passed, or does not apply
	again bool // this runner has tried before
	back  bool // nothing is to be begun: the run goes back for another runner
	// poison says why the run must not be executed any more.
	poison error
	// release gives back the entry's place, once it is dealt with.
	release func()
	work    *work // nil for what is handed back at the end
}

// background is for writes that must not be cut short by what ends a run: the
// committer itself ends them.
var background = context.Background()

// process takes an entry as far as it goes.
func (s *session) process(d delivery) {
	if d.Deliveries > s.MaxDeliveries {
		d.poison = fmt.Errorf("delivered %d times and never finished: the runner dies each time, look at its restarts (memory limit, crash)", d.Deliveries-1)
	}
	err := s.persist(func() error {
		err := s.processEntry(d)
		d.again = true
		return err
	})
	if !errors.Is(err, engine.ErrElsewhere) {
		d.release()
	}
	s.note(d, err)
}

// note tells what became of an entry that could not be taken to its end.
func (s *session) note(d delivery, err error) {
	switch {
	case err == nil, errors.Is(err, engine.ErrElsewhere):
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrClosed):
		s.log.Debug("left to another runner", "entry", d.ID, "reason", err)
		s.sweep(d)
	default:
		// The entry stays pending and comes back when this runner ends.
		s.log.Error("entry could not be processed; it stays pending and is taken up by the next runner", "stream", d.Stream, "entry", d.ID, "error", err)
	}
}

// sweep removes what a write that came too late left of a run that has ended.
func (s *session) sweep(d delivery) {
	id := d.Field("run") + d.Field("start") // an inbox entry has one of them
	if d.Type != "" {
		id = store.RunID(s.Plan.Function, d.Type, d.ID)
	}
	ctx, cancel := context.WithTimeout(background, s.Lease)
	defer cancel()
	if err := s.committer.Sweep(ctx, d.Stream, d.ID, id); err != nil {
		s.log.Warn("could not look whether a late write left anything", telemetry.LogRun, id, telemetry.LogTrace, telemetry.TraceID(id, ""), "error", err)
	}
}

// persist repeats what fails only because Redis is away or refuses for a while.
func (s *session) persist(attempt func() error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := attempt()
		if err == nil || !store.Temporary(err) {
			return err
		}
		s.log.Warn("Redis does not do what it is asked; trying again", "error", err)
		if fenced := s.fenced(); fenced != nil {
			return fenced
		}
		if !sleep(s.runCtx, pause) {
			return err
		}
	}
}

func (s *session) processEntry(d delivery) error {
	if d.Type != "" {
		return s.processEvent(d)
	}
	if id := d.Field("run"); id != "" {
		return s.processResume(d, id)
	}
	if id := d.Field("start"); id != "" {
		return s.processStart(d, id)
	}
	return s.reject(d, "an inbox entry needs a field run or start")
}

// reject sends an entry that can never run to the dead runs.
func (s *session) reject(d delivery, reason string) error {
	now := s.now()
	at := event.EntryTime(d.ID)
	if at.IsZero() {
		at = now
	}
	r := run.Record{ID: event.DerivedID(at, s.Plan.Function, d.Type, d.ID), Status: run.Rejected, EventType: d.Type,
		StartedAt: at, EndedAt: &now, Error: fmt.Sprintf("entry %s of %s: %s", d.ID, d.Stream, reason)}
	if id := d.Field("run"); id != "" {
		r.ID = id
	}
	if e, err := d.Event(); err == nil && d.Type != "" {
		r.Event, r.EventID = &e, e.ID
	}
	ref := &store.Ref{Function: s.Plan.Function, RunID: r.ID, Stream: d.Stream, Entry: d.ID, Inbox: d.Type == ""}
	_, err := s.committer.Finish(background, store.Finish{Ref: ref, Failed: true, Rejected: true, Record: run.AppendRecord(nil, &r)})
	s.metrics.ended[run.Rejected].Inc()
	s.log.Error("entry rejected", telemetry.LogRun, r.ID, telemetry.LogTrace, telemetry.TraceID(r.ID, ""), "stream", d.Stream, "entry", d.ID, "reason", reason)
	return err
}

// processEvent hands an event to the runs that wait for it, and starts a run
// if it is a trigger.
func (s *session) processEvent(d delivery) error {
	e, err := d.Event()
	if err != nil {
		return s.reject(d, err.Error())
	}
	l := &load{meta: run.Identity{Event: e, StartedAt: e.Time}}
	l.ref = store.Ref{Function: s.Plan.Function, RunID: store.RunID(s.Plan.Function, e.Type, d.ID), Stream: d.Stream, Entry: d.ID, Runner: s.name}
	if err := s.deliver(&e, d.ID, l.ref.RunID); err != nil {
		return err
	}
	version, err := s.recall(l, d)
	if err != nil {
		return err
	}
	if version != "" { // it has begun, whatever the triggers are by now
		return s.begin(l, d, version)
	}
	fits, err := s.triggered(&e)
	if err != nil {
		return s.finishUnstarted(l, err)
	}
	if !fits {
		return s.passOver(d, l.ref.RunID)
	}
	return s.begin(l, d, "")
}

// recall loads what an earlier delivery of the entry left in the journal, and
// returns the version that the run began with, "" when it has not begun.
func (s *session) recall(l *load, d delivery) (version string, err error) {
	if d.Deliveries <= 1 && !d.again {
		return "", nil
	}
	j, err := s.Store.Load(background, s.Plan.Function, l.ref.RunID)
	if err != nil || j == nil {
		return "", err
	}
	l.run.Results, l.run.Progress = j.Results, j.Progress
	version = run.VersionOf(j.Results, j.Progress)
	l.resumed = version != ""
	return version, nil
}

// triggered reports whether an event starts a run.
func (s *session) triggered(e *event.Event) (bool, error) {
	var failed error
	for i, t := range s.Plan.Triggers {
		if t.Event != e.Type {
			continue
		}
		if t.If == nil {
			return true, nil
		}
		yes, err := t.If.Bool(&plan.Scope{Event: e, Env: s.Env})
		if yes {
			return true, nil
		}
		if err != nil {
			failed = fmt.Errorf("spec.triggers[%d].if: %w", i, err)
		}
	}
	return false, failed
}

// finishUnstarted fails a run before its first step.
func (s *session) finishUnstarted(l *load, cause error) error {
	l.run = engine.Run{ID: l.ref.RunID, Event: l.meta.Event, StartedAt: l.meta.StartedAt}
	l.follow(s.Plan)
	if l.ref.Version == "" {
		l.ref.Version = s.Plan.Hash
	}
	s.claimOnce(l) // who meets the key must be told
	return s.finish(l, engine.Outcome{Kind: engine.Failed, Failure: &run.Failure{Message: cause.Error()}})
}

// processStart begins a run that was addressed to this function: an invoked
// one, a replay, or one of a cron tick.
func (s *session) processStart(d delivery, id string) error {
	l := &load{}
	l.ref = store.Ref{Function: s.Plan.Function, RunID: id, Stream: d.Stream, Entry: d.ID, Inbox: true, Runner: s.name}
	if err := json.Unmarshal([]byte(d.Field("event")), &l.meta.Event); err != nil {
		return s.reject(d, "field event: "+err.Error())
	}
	if text := d.Field("parent"); text != "" {
		l.meta.Parent = &run.Parent{}
		if err := json.Unmarshal([]byte(text), l.meta.Parent); err != nil {
			return s.reject(d, "field parent: "+err.Error())
		}
	}
	l.ref.Parent, l.meta.ReplayOf = l.meta.Parent, d.Field("replay")
	version, err := s.recall(l, d)
	if err != nil {
		return err
	}
	return s.begin(l, d, version)
}

// processResume goes on with a parked run.
func (s *session) processResume(d delivery, id string) error {
	j, err := s.committer.Take(background, id, d.ID, s.name)
	if err != nil || j == nil {
		return err // nil: somebody else has it, or it has ended
	}
	l := &load{resumed: true}
	l.ref = store.Ref{Function: s.Plan.Function, RunID: id, Stream: d.Stream, Entry: d.ID, Inbox: true, Parked: j.Identity != nil, Runner: s.name}
	if l.meta, err = j.DecodeIdentity(id); err != nil {
		return s.reject(d, err.Error())
	}
	l.ref.Parent = l.meta.Parent
	if j.Cancel != nil {
		l.cancel.Ask(j.Cancel.Reason)
	}
	l.run = engine.Run{ID: id, Event: l.meta.Event, StartedAt: l.meta.StartedAt, Attempt: int(d.Deliveries),
		Active: j.Active, Results: j.Results, Progress: j.Progress}
	s.metrics.resumed.Inc()
	version := l.meta.Version
	if err := s.setPlan(l, version); err != nil {
		l.ref.Version = version
		return s.finishUnstarted(l, err)
	}
	l.ref.Version = version // the count of parked runs was made under this one
	return s.admitAndExecute(l, d)
}
