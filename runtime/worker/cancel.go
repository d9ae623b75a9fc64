package worker

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// cancelPeriod is how often a runner with work asks whether any of it is to be
// cancelled: one command, whatever the number of its runs. With the second that
// a handler may ignore its context, a cancelled run ends within two.
const cancelPeriod = 500 * time.Millisecond

// watchCancels interrupts runs whose end was asked for while they are under way.
// An idle runner asks nothing: what it takes up later is looked at then.
func (p *processor) watchCancels(ctx context.Context) {
	for sleep(ctx, cancelPeriod) {
		if p.begun.idle() {
			continue
		}
		if err := p.lookForCancels(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("could not look for runs to cancel; trying again", "error", err)
		}
	}
}

func (p *processor) lookForCancels(ctx context.Context) error {
	n, err := p.store.CancelCount(ctx, p.Plan.Function)
	if err != nil || n == 0 {
		return err
	}
	runs := p.begun.runs()
	asked, err := p.store.CancelRequests(ctx, p.Plan.Function, slices.Collect(maps.Keys(runs))...)
	for id, request := range asked {
		runs[id].cancel.Ask(request.Reason)
	}
	return err
}

// lookForCancel finds out whether the end of a run was asked for before this
// runner took it up.
func (p *processor) lookForCancel(o *ownedRun, d delivery) error {
	if !d.Suspect && !d.again && d.Deliveries <= 1 {
		return nil
	}
	asked, err := p.store.CancelRequests(background, p.Plan.Function, o.Ref.RunID)
	if request := asked[o.Ref.RunID]; request != nil {
		o.cancel.Ask(request.Reason)
	}
	return err
}

// endCancelled ends a run that is not to go on. The engine tells what it has
// done so far, and what it waits for.
func (p *processor) endCancelled(o *ownedRun, d delivery) error {
	out := engine.Outcome{Kind: engine.Cancelled, Failure: &run.Failure{Message: o.cancel.Reason()}}
	if o.Stepped && d.poison == nil {
		done, err := p.engine.Execute(p.runs, &o.exec)
		if err == nil { // else the journal is damaged, and nobody can tell
			out = done
		}
	}
	return p.admission.End(background, &o.Run, outcomeOf(&out))
}

// passOver acknowledges an event that starts no run.
func (p *processor) passOver(d delivery, runID string) error {
	if err := p.committer.Ack(background, d.Stream, d.ID); err != nil || !d.Suspect {
		return err
	}
	return p.store.DropCancel(background, p.Plan.Function, runID)
}
