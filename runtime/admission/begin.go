package admission

import (
	"context"
	"fmt"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// begin takes a start of the throttle and all slots, or parks the run.
func (a *Admission) begin(ctx context.Context, r *Run, scope *plan.Scope) (Verdict, error) {
	take, err := a.take(r, scope)
	if err != nil {
		return a.fail(ctx, r, "%w", err)
	}
	if take.Throttle == nil && len(take.Slots) == 0 {
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
	case answer.Full > 0:
		return Parked, a.queue(ctx, r, take.Slots[answer.Full-1])
	}
	return Parked, a.plan(ctx, r, answer)
}

// take is what the run needs. What was decided before is not asked for again.
func (a *Admission) take(r *Run, scope *plan.Scope) (*Take, error) {
	t := &Take{New: r.Identity.Queued.IsZero() && !r.Stepped && r.Decision != run.Begun}
	if throttle := r.Plan.Throttle; throttle != nil && !r.Stepped && r.Decision != run.Begun && !r.Identity.Admitted {
		rate, err := throttleOf(throttle, scope)
		if err != nil {
			return nil, err
		}
		t.Throttle = rate
		t.Since = r.Identity.Throttled
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

func throttleOf(t *plan.Throttle, scope *plan.Scope) (*Rate, error) {
	value, err := rateKey("spec.throttle.key", t.Key, scope)
	if err != nil {
		return nil, err
	}
	return &Rate{Value: value, Limit: t.Limit, Burst: t.Burst, Period: t.Period, Sliding: t.Sliding}, nil
}

func rateKey(path string, key *plan.Expr, scope *plan.Scope) (string, error) {
	if key == nil {
		return "", nil
	}
	value, err := key.Text(scope)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
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
