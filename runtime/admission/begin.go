package admission

import (
	"context"
	"fmt"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// begin takes a start of the rate limit and all slots, or parks or drops the run.
func (a *Admission) begin(ctx context.Context, r *Run, scope *plan.Scope) (Verdict, error) {
	take, err := a.take(r, scope)
	if err != nil {
		return a.fail(ctx, r, "%w", err)
	}
	if take.Rate == nil && len(take.Slots) == 0 {
		return Begins, nil
	}
	held := a.slots.lock(take.Slots)
	answer, err := a.Port.Begin(ctx, &r.Ref, take)
	if err == nil && answer.Decision == run.Begun {
		held.count(1)
		r.slots = take.Slots
	}
	held.unlock()
	if err != nil {
		return Parked, err
	}
	r.Decision = answer.Decision
	switch {
	case answer.Decision == run.Begun:
		r.Identity.Admitted = true
		return Begins, nil
	case answer.Decision == run.Dropped:
		return Ended, a.End(ctx, r, Outcome{Status: run.Skipped, Skip: Dropped})
	case answer.Full > 0:
		return Parked, a.queue(ctx, r, take.Slots[answer.Full-1])
	}
	return Parked, a.plan(ctx, r, answer)
}

// take is what the run needs. What was decided before is not asked for again.
func (a *Admission) take(r *Run, scope *plan.Scope) (*Take, error) {
	t := &Take{New: r.Identity.Queued.IsZero() && !r.Stepped && r.Decision != run.Begun}
	if limit := r.Plan.RateLimit; limit != nil && !r.Stepped && r.Decision != run.Begun && !r.Identity.Admitted {
		rate, err := rateOf(limit, scope)
		if err != nil {
			return nil, err
		}
		rate.Drop = limit.Drop && r.Identity.ReplayOf == "" // a replay is never dropped: it waits
		rate.Since = r.Identity.Throttled
		t.Rate = rate
	}
	for i, c := range r.Plan.Concurrency {
		if c.Key == nil {
			continue
		}
		value, err := c.Key.Text(scope)
		if err != nil {
			return nil, fmt.Errorf("spec.concurrency[%d].key: %w", i, err)
		}
		t.Slots = append(t.Slots, Slot{Limit: i + 1, Value: value, Max: c.Limit})
	}
	return t, nil
}

func rateOf(limit *plan.RateLimit, scope *plan.Scope) (*Rate, error) {
	r := &Rate{Limit: limit.Limit, Burst: limit.Burst, Period: limit.Period}
	if limit.Key == nil {
		return r, nil
	}
	value, err := limit.Key.Text(scope)
	if err != nil {
		return nil, fmt.Errorf("spec.rateLimit.key: %w", err)
	}
	r.Value = value
	return r, nil
}

// plan parks a run until there is a start for it. It holds none meanwhile: it
// asks again then.
func (a *Admission) plan(ctx context.Context, r *Run, answer Answer) error {
	if r.Identity.Throttled.IsZero() {
		r.Identity.Throttled = a.Now()
	}
	r.Restate = true
	return a.Port.Park(ctx, r, Park{Due: a.Now().Add(answer.Wait)})
}

// queue parks a run until there is a slot for it.
func (a *Admission) queue(ctx context.Context, r *Run, slot Slot) error {
	front := !r.Identity.Queued.IsZero() || r.Stepped || r.Decision == run.Begun
	if r.Identity.Queued.IsZero() {
		r.Identity.Queued = a.Now()
	}
	r.Restate = true
	if err := a.Port.Park(ctx, r, Park{Queue: &slot, Front: front}); err != nil {
		return err
	}
	// The slot may have become free before the run was in the queue. A failure
	// costs time only: each heartbeat does the same.
	slot.Held = -1
	_ = a.Port.Release(ctx, slot)
	return nil
}
