package admission

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wildout/wildout/runtime/run"
)

// keyOutcome is what runs that meet an idempotency key later are told.
type keyOutcome struct {
	Output  json.RawMessage `json:"o,omitempty"`
	Failure *run.Failure    `json:"f,omitempty"`
}

// once takes the idempotency key. A run that meets the key of another one is a
// duplicate; an invoked one waits for the other and takes its outcome.
func (a *Admission) once(ctx context.Context, r *Run, k *keys) (Verdict, error) {
	once := r.Plan.Idempotency
	// A replay is wanted by a person: it is no duplicate, and its key is left to others.
	if once == nil || r.Identity.ReplayOf != "" || r.Identity.Once != "" && r.Identity.Follows == "" {
		return Begins, nil
	}
	if k.once == "" {
		return Begins, nil // it has begun, and its key cannot be told any more
	}
	holder, err := a.Port.Once(ctx, &r.Ref, k.once, once.TTL, r.Ref.Parent != nil)
	if err != nil {
		return Parked, err
	}
	if holder.RunID != "" && (r.Stepped || r.Decision == run.Begun) {
		return Begins, nil // its key ran out and another has it: a run that has begun goes on
	}
	r.Identity.Once = k.once
	r.Identity.Follows = holder.RunID
	switch {
	case holder.RunID == "":
		return Begins, nil
	case r.Ref.Parent == nil:
		return Ended, a.End(ctx, r, Outcome{Status: run.Skipped, Skip: Duplicate})
	case holder.Outcome == nil:
		return Parked, a.follow(ctx, r)
	}
	var o keyOutcome
	if err := json.Unmarshal(holder.Outcome, &o); err != nil {
		return a.fail(ctx, r, "the outcome of run %s, which has the same idempotency key, is damaged: %w", holder.RunID, err)
	}
	out := Outcome{Status: run.Succeeded, Output: o.Output, Failure: o.Failure}
	if o.Failure != nil {
		out.Status = run.Failed
	}
	return Ended, a.End(ctx, r, out)
}

// Pauses between looks at the run that holds the key.
const (
	minFollow = 200 * time.Millisecond
	maxFollow = 30 * time.Second
)

// follow waits for the end of the run that holds the key. That wakes this one;
// it may come before this one is parked, and find nobody: it looks again, ever
// less often.
func (a *Admission) follow(ctx context.Context, r *Run) error {
	age := a.Now().Sub(r.Identity.StartedAt)
	r.Restate = true
	return a.Port.Park(ctx, r, Park{Due: a.Now().Add(min(maxFollow, max(minFollow, age/2)))})
}

// pass asks the rate limit, which drops what is above it. What a person asked
// for is never dropped.
func (a *Admission) pass(ctx context.Context, r *Run, k *keys) (Verdict, error) {
	if k.rate == nil || r.decided() || r.Decision == run.Counted {
		return Begins, nil
	}
	if r.Decision != run.Dropped {
		decision, err := a.Port.Pass(ctx, &r.Ref, k.rate)
		if err != nil {
			return Parked, err
		}
		r.Decision = decision
	}
	if r.Decision != run.Dropped {
		return Begins, nil
	}
	return Ended, a.End(ctx, r, Outcome{Status: run.Skipped, Skip: Dropped})
}
