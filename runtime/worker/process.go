package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/telemetry"
)

// delivery is a stream entry that this runner was given.
type delivery struct {
	store.Entry
	again bool // this runner has tried before
	back  bool // nothing is to be begun: the run goes back for another runner
	// deciding is done once it is decided whether a run begins; nil: nobody waits.
	deciding func()
	// poison says why the run must not be executed any more.
	poison error
	// release gives back the entry's place, once it is dealt with.
	release func()
	work    *work // nil for what is handed back at the end
}

// decided tells whoever waits for it that it is decided what the entry begins.
func (d *delivery) decided() {
	if d.deciding != nil {
		d.deciding()
	}
}

// background is for writes that must not be cut short by what ends a run: the
// committer itself ends them.
var background = context.Background()

// process takes an entry as far as it goes.
func (p *processor) process(d delivery) {
	if d.Deliveries > p.MaxDeliveries {
		d.poison = fmt.Errorf("delivered %d times and never finished: the runner dies each time, look at its restarts (memory limit, crash)", d.Deliveries-1)
	}
	err := p.persist(func() error {
		err := p.processEntry(d)
		d.again = true
		return err
	})
	d.decided()
	if !errors.Is(err, engine.ErrElsewhere) {
		d.release()
	}
	p.note(d, err)
}

// note tells what became of an entry that could not be taken to its end.
func (p *processor) note(d delivery, err error) {
	switch {
	case err == nil, errors.Is(err, engine.ErrElsewhere):
	case errors.Is(err, runs.ErrFenced), errors.Is(err, runs.ErrClosed):
		p.log.Debug("left to another runner", "entry", d.ID, "reason", err)
		p.sweep(d)
	default:
		// The entry stays pending and comes back when this runner ends.
		p.log.Error("entry could not be processed; it stays pending and is taken up by the next runner", "stream", d.Stream, "entry", d.ID, "error", err)
	}
}

// sweep removes what a write that came too late left of a run that has ended.
func (p *processor) sweep(d delivery) {
	id := d.Field("run") + d.Field("start") // an inbox entry has one of them
	if d.Type != "" {
		id = store.RunID(p.Plan.Function, d.Type, d.ID)
	}
	ctx, cancel := context.WithTimeout(background, p.Lease)
	defer cancel()
	if err := p.committer.Sweep(ctx, d.Stream, d.ID, id); err != nil {
		p.log.Warn("could not look whether a late write left anything", telemetry.LogRun, id, telemetry.LogTrace, telemetry.TraceID(id, ""), "error", err)
	}
}

// persist repeats what fails only because Redis is away or refuses for a while.
func (p *processor) persist(attempt func() error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := attempt()
		if err == nil || !store.Temporary(err) {
			return err
		}
		p.log.Warn("Redis does not do what it is asked; trying again", "error", err)
		if fenced := p.lease.check(); fenced != nil {
			return fenced
		}
		if !sleep(p.runs, pause) {
			return err
		}
	}
}

func (p *processor) processEntry(d delivery) error {
	if d.Type != "" {
		return p.processEvent(d)
	}
	if id := d.Field("run"); id != "" {
		return p.processResume(d, id)
	}
	if id := d.Field("start"); id != "" {
		return p.processStart(d, id)
	}
	return p.reject(p.owned(d, ""), d, "an inbox entry needs a field run or start")
}

// owned is the run of an entry; with an empty id, what stands for a run where
// there is none.
func (p *processor) owned(d delivery, id string) *ownedRun {
	if id == "" {
		at := event.EntryTime(d.ID)
		if at.IsZero() {
			at = p.clock.now()
		}
		id = event.DerivedID(at, p.Plan.Function, d.Type, d.ID)
	}
	o := &ownedRun{processor: p}
	o.Identity.StartedAt = event.EntryTime(d.ID)
	o.Ref = run.Ref{Function: p.Plan.Function, RunID: id, Stream: d.Stream, Entry: d.ID, Inbox: d.Type == "", Runner: p.name}
	o.Plan = p.Plan
	o.Listener = o
	return o
}

// processEvent hands an event to the runs that wait for it, and starts a run
// if it is a trigger.
func (p *processor) processEvent(d delivery) error {
	o := p.owned(d, store.RunID(p.Plan.Function, d.Type, d.ID))
	e, err := d.Event()
	o.Identity.Event = e
	o.Identity.StartedAt = e.Time
	if err != nil {
		return p.reject(o, d, err.Error())
	}
	if err := p.admission.Deliver(background, &e, d.ID, o.Ref.RunID); err != nil {
		return err
	}
	version, err := p.recall(o, d)
	if err != nil {
		return p.unread(o, d, err)
	}
	if version != "" || o.Decision != "" { // it has begun, whatever the triggers are by now
		return p.startAt(o, d, version)
	}
	fits, err := p.admission.Starts(p.Plan, &e)
	if err != nil {
		o.Ref.Version = p.Plan.Hash
		return p.admission.Refuse(background, &o.Run, err)
	}
	if !fits && d.Deliveries > 1 { // another version may have begun with it
		version, err = p.plans.starting(background, &e, p.admission)
		fits = version != ""
	}
	if err != nil {
		return err
	}
	if !fits {
		return p.passOver(d, o.Ref.RunID)
	}
	return p.startAt(o, d, version)
}

// startAt starts a run that another version of the function may have begun with
// an event for which runs of this one only wait: its entry has no place of a run yet.
func (p *processor) startAt(o *ownedRun, d delivery, version string) error {
	if d.work != nil && d.work.places == p.deliveries {
		p.deliveries.leave()
		d.work.places = nil
		d.back = !p.enterSoon(d.work, p.places, true)
	}
	return p.start(o, d, version)
}

// recall loads what an earlier delivery of the entry left in the journal, and
// returns the version that the run began with, "" when it has not begun.
func (p *processor) recall(o *ownedRun, d delivery) (version string, err error) {
	if d.Deliveries <= 1 && !d.again {
		return "", nil
	}
	j, err := p.store.Load(background, p.Plan.Function, o.Ref.RunID)
	if err != nil || j == nil {
		return "", err
	}
	if err := readable(j, o.Ref.RunID, ""); err != nil {
		return "", err
	}
	o.exec.Results = j.Results
	o.exec.Progress = j.Progress
	o.Decision = j.Decision
	version = run.VersionOf(j.Results, j.Progress)
	o.resumed = version != ""
	return version, nil
}

// processStart begins a run that was addressed to this function: an invoked
// one, a replay, or one of a cron tick.
func (p *processor) processStart(d delivery, id string) error {
	o := p.owned(d, id)
	var damaged error
	if text := d.Field("parent"); text != "" {
		parent := &run.Parent{}
		if damaged = json.Unmarshal([]byte(text), parent); damaged == nil {
			o.Identity.Parent = parent
			o.Ref.Parent = parent
		}
	}
	o.Identity.ReplayOf = d.Field("replay")
	if damaged != nil {
		return p.reject(o, d, "field parent: "+damaged.Error())
	}
	if err := json.Unmarshal([]byte(d.Field("event")), &o.Identity.Event); err != nil {
		o.Identity.Event = event.Event{}
		return p.reject(o, d, "field event: "+err.Error())
	}
	version, err := p.recall(o, d)
	if err != nil {
		return p.unread(o, d, err)
	}
	return p.start(o, d, version)
}

// processResume goes on with a parked run.
func (p *processor) processResume(d delivery, id string) error {
	j, err := p.committer.Take(background, d.Stream, id, d.ID, p.name)
	if err != nil || j == nil {
		return err // nil: somebody else has it, or it has ended
	}
	o := p.owned(d, id)
	o.resumed = true
	o.Decision = j.Decision
	o.Ref.Parked = j.Identity != nil
	if j.Cancel != nil {
		o.cancel.Ask(j.Cancel.Reason)
	}
	o.Identity, err = j.DecodeIdentity(id)
	o.Ref.Parent = o.Identity.Parent
	if later := readable(j, id, o.Identity.Version); later != nil {
		return p.unread(o, d, later)
	}
	if err != nil {
		o.Identity.StartedAt = event.EntryTime(d.ID) // what can be told
		return p.reject(o, d, err.Error())
	}
	o.exec = engine.Run{ID: id, Event: o.Identity.Event, StartedAt: o.Identity.StartedAt, Attempt: int(d.Deliveries),
		Active: j.Active, Results: j.Results, Progress: j.Progress}
	p.metrics.resumed.Inc()
	version := o.Identity.Version
	if err := p.setPlan(o, version); err != nil {
		return p.unread(o, d, err)
	}
	o.Ref.Version = version // the count of parked runs was made under this one
	return p.admitAndExecute(o, d)
}
