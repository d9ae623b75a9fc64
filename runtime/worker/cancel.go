package worker

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// cancelPeriod is how often a runner with work asks whether any of it is to be
// cancelled: one command, whatever the number of its runs. With the second that
// a handler may ignore its context, a cancelled run ends within two.
const cancelPeriod = 500 * time.Millisecond

// cancelLoop interrupts runs whose end was asked for while they are under way.
// An idle runner asks nothing: what it takes up later is looked at then.
func (s *session) cancelLoop(ctx context.Context) {
	for sleep(ctx, cancelPeriod) {
		if s.begun.idle() {
			continue
		}
		if err := s.lookForCancels(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("could not look for runs to cancel; trying again", "error", err)
		}
	}
}

func (s *session) lookForCancels(ctx context.Context) error {
	n, err := s.Store.CancelCount(ctx, s.Plan.Function)
	if err != nil || n == 0 {
		return err
	}
	runs := s.begun.runs()
	asked, err := s.Store.CancelRequests(ctx, s.Plan.Function, slices.Collect(maps.Keys(runs))...)
	for id, request := range asked {
		runs[id].cancel.Ask(request.Reason)
	}
	return err
}

// lookForCancel finds out whether the end of a run was asked for before this
// runner took it up.
func (s *session) lookForCancel(l *load, d delivery) error {
	if !d.Suspect && !d.again && d.Deliveries <= 1 {
		return nil
	}
	asked, err := s.Store.CancelRequests(background, s.Plan.Function, l.ref.RunID)
	if request := asked[l.ref.RunID]; request != nil {
		l.cancel.Ask(request.Reason)
	}
	return err
}

// endCancelled ends a run that is not to go on. The engine tells what it has
// done so far, and what it waits for.
func (s *session) endCancelled(l *load, d delivery) error {
	out := engine.Outcome{Kind: engine.Cancelled, Failure: &run.Failure{Message: l.cancel.Reason()}}
	if l.stepped() && d.poison == nil {
		done, err := s.engine.Execute(s.runCtx, &l.run)
		if err == nil { // else the journal is damaged, and nobody can tell
			out = done
		}
	}
	s.claimOnce(l)
	if err := s.finish(l, out); err != nil {
		return err
	}
	return s.leaveQueues(l)
}

// claimOnce finds the idempotency key that an earlier delivery of the run may
// have taken.
func (s *session) claimOnce(l *load) {
	if i := l.plan.Idempotency; i != nil && l.meta.Once == "" {
		l.meta.Once, _ = i.Key.Text(&plan.Scope{Event: &l.meta.Event, Env: s.Env})
	}
}

// leaveQueues takes a run that has ended out of the queues for slots. If that
// fails, the slot goes to a run that is gone, and to the next with a heartbeat.
func (s *session) leaveQueues(l *load) error {
	if l.meta.Queued.IsZero() {
		return nil
	}
	for i, c := range l.plan.Concurrency {
		if c.Key == nil {
			continue
		}
		value, err := c.Key.Text(&plan.Scope{Event: &l.meta.Event, Env: s.Env})
		if err != nil {
			continue // it was never queued for it
		}
		if err := s.Store.Unqueue(background, store.Slots{Function: s.Plan.Function, Limit: i + 1, Value: value}, l.ref.RunID); err != nil {
			return err
		}
	}
	return nil
}

// passOver acknowledges an event that starts no run.
func (s *session) passOver(d delivery, runID string) error {
	if err := s.committer.Ack(background, d.Stream, d.ID); err != nil || !d.Suspect {
		return err
	}
	return s.Store.DropCancel(background, s.Plan.Function, runID)
}
