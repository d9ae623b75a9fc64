package admission

import (
	"context"
	"errors"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// keys are what the limits of a function make of an event. All of them are
// evaluated before anything is taken: one that cannot be is found out once, and
// leaves nothing behind.
type keys struct {
	once     string // empty: none
	rate     *Rate  // nil: no rate limit concerns the event
	throttle *Rate  // nil: no throttle concerns it
	slots    []Slot
}

// keysOf evaluates all keys, and joins the errors, each with its path: those that
// can be evaluated are there all the same. A key that is null is one like any other; a
// replay is wanted by a person, and has no idempotency key and no rate limit.
func (a *Admission) keysOf(r *Run) (*keys, error) {
	scope := a.scope(r)
	k := &keys{}
	var failed []error
	if once := r.Plan.Idempotency; once != nil && r.Identity.ReplayOf == "" {
		key, err := once.Key.Key(scope)
		k.once = key.Text
		failed = append(failed, err)
	}
	if l := r.Plan.RateLimit; l != nil && r.Identity.ReplayOf == "" {
		rate, err := rateOf(Rate{Limit: l.Limit, Burst: l.Burst, Period: l.Period}, l.Key, scope)
		k.rate = rate
		failed = append(failed, err)
	}
	if r.Plan.Throttle != nil {
		t := r.Plan.Throttle
		rate, err := rateOf(Rate{Limit: t.Limit, Burst: t.Burst, Period: t.Period, Sliding: t.Sliding}, t.Key, scope)
		k.throttle = rate
		failed = append(failed, err)
	}
	for i, c := range r.Plan.Concurrency {
		if c.Key == nil {
			continue
		}
		key, err := c.Key.Key(scope)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		k.slots = append(k.slots, Slot{Limit: i + 1, Value: key.Text, Max: c.Limit})
	}
	return k, errors.Join(failed...)
}

// rateOf is a limit for an event; nil where its key is false, or cannot be
// evaluated.
func rateOf(limit Rate, key *plan.Expr, scope *plan.Scope) (*Rate, error) {
	if key == nil {
		return &limit, nil
	}
	value, err := key.Key(scope)
	if err != nil || value.False {
		return nil, err
	}
	limit.Value = value.Text
	return &limit, nil
}

// Refuse ends an event of which a key or a trigger's `if` cannot be evaluated, as
// rejected and before it starts: nobody can say what is right for it. It is
// recorded with the event, which can be sent again once the manifest is mended.
func (a *Admission) Refuse(ctx context.Context, r *Run, cause error) error {
	return a.End(ctx, r, Outcome{Status: run.Rejected, Failure: &run.Failure{Message: cause.Error()}})
}
