package admission

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// Run is a run on its way in and out. Its goroutine alone uses it.
type Run struct {
	Ref      run.Ref
	Identity run.Identity
	// Plan is the version of the function that it began with.
	Plan *plan.Plan
	// Decision is what was decided before about its beginning.
	Decision run.Decision
	// Stepped says that it has taken a step.
	Stepped bool
	// Redelivered says that another runner was given the entry before.
	Redelivered bool
	// Listener is told of its end; may be nil.
	Listener Listener
	// Restate says that Identity is not what the journal has.
	Restate bool

	begins bool   // it was let in
	slots  []Slot // that it holds
}

// Listener is told what became of a run.
type Listener interface {
	// Ended is told once, when the end is written.
	Ended(e Ending)
}

// began reports whether the run may have had an effect. Where nothing tells, one
// that was given to another runner before counts as begun.
func (r *Run) began() bool {
	return r.begins || r.Stepped || r.Redelivered || r.Decision == run.Begun
}

// decided reports whether it was decided before that the run begins: what it was
// given then it is not asked for again.
func (r *Run) decided() bool {
	return r.Stepped || r.Decision == run.Begun || r.Identity.Admitted
}

// Admission decides for one function, on one runner. It is safe for many runs at
// once.
type Admission struct {
	Function string
	// Env is what expressions see as `env`.
	Env map[string]string
	// Now is the clock.
	Now  func() time.Time
	Port Port

	paths paths
	slots slots
}

// Verdict is what becomes of a run that wants to go on.
type Verdict int

const (
	// Parked means that it waits, and nothing of it is here any more.
	Parked Verdict = iota
	// Ended means that it will never begin.
	Ended
	// Begins means that it goes on now. What it holds is given back with Leave.
	Begins
)

// Admit takes what a run needs to begin, or to go on after it was parked. A run
// that has to wait is parked, one that is not to begin is ended.
func (a *Admission) Admit(ctx context.Context, r *Run) (Verdict, error) {
	p := r.Plan
	if p.Idempotency == nil && p.RateLimit == nil && p.Throttle == nil && len(p.Concurrency) == 0 {
		r.begins = true
		return Begins, nil
	}
	k, err := a.keysOf(r)
	if err != nil && !r.decided() {
		return Ended, a.Refuse(ctx, r, err)
	}
	// One that has begun goes on: a limit that is new to it, or asks for a setting that
	// is gone, does not concern it.
	if v, err := a.once(ctx, r, k); err != nil || v != Begins {
		return v, err
	}
	if v, err := a.pass(ctx, r, k); err != nil || v != Begins {
		return v, err
	}
	v, err := a.begin(ctx, r, k)
	r.begins = r.begins || err == nil && v == Begins
	return v, err
}

// HandBack parks a run for another runner, which has a place for it.
func (a *Admission) HandBack(ctx context.Context, r *Run) error {
	r.Restate = true
	return a.Port.Park(ctx, r, Park{Wake: true})
}

// fail ends a run that can never begin.
func (a *Admission) fail(ctx context.Context, r *Run, format string, args ...any) (Verdict, error) {
	message := fmt.Errorf(format, args...).Error()
	return Ended, a.End(ctx, r, Outcome{Status: run.Failed, Failure: &run.Failure{Message: message}})
}
