package admission

import (
	"context"

	"github.com/wildout/wildout/runtime/run"
)

// begin takes a start of the throttle and all slots, or parks the run.
func (a *Admission) begin(ctx context.Context, r *Run, k *keys) (Verdict, error) {
	take := a.take(r, k)
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
func (a *Admission) take(r *Run, k *keys) *Take {
	t := &Take{Slots: k.slots, New: r.Identity.Queued.IsZero() && !r.Stepped && r.Decision != run.Begun}
	if !r.decided() {
		t.Throttle = k.throttle
		t.Since = r.Identity.Throttled
	}
	return t
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
