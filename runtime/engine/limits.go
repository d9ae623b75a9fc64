package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// errTimeout ends a run whose timeout or deadline has passed.
var errTimeout = errors.New("the run's time is up")

// deadline returns when the run must have ended, or zero. A run that has
// failed is not bounded any more: its onFailure steps are there for just that
// case, and have time-outs of their own.
func (x *execution) deadline() time.Time {
	d := x.run.Plan.Deadline
	if d == 0 || x.failure != nil {
		return time.Time{}
	}
	return x.run.StartedAt.Add(d)
}

// timeLeft returns how long the run may still be active, and whether there is
// a bound at all.
func (x *execution) timeLeft() (time.Duration, bool) {
	left, bounded := time.Duration(0), false
	if t := x.run.Plan.Timeout; t > 0 && x.failure == nil {
		left, bounded = t-x.run.Active, true
	}
	if end := x.deadline(); !end.IsZero() {
		if d := end.Sub(x.Now()); !bounded || d < left {
			left, bounded = d, true
		}
	}
	return left, bounded
}

func (x *execution) timeoutFailure() *Failure {
	if end := x.deadline(); !end.IsZero() && !x.Now().Before(end) {
		return &Failure{Message: fmt.Sprintf("deadline: the run began at %s and had not ended after %s (spec.deadline)",
			x.run.StartedAt.UTC().Format(time.RFC3339), x.run.Plan.Deadline), Step: x.openStep()}
	}
	return &Failure{Message: fmt.Sprintf("timeout: the run was active for more than %s (spec.timeout)", x.run.Plan.Timeout), Step: x.openStep()}
}

// openStep names the first step that had not ended.
func (x *execution) openStep() string {
	for _, n := range x.machine.nodes {
		if n.state != ended && n.state != pending {
			return n.step.Name
		}
	}
	return ""
}

// The failure of a run is stored as a result whose output is the step's name.

func (r *result) setStepName(name string) {
	r.Output, _ = json.Marshal(name) // a string cannot fail
}

func (r *result) stepName() (name string) {
	_ = json.Unmarshal(r.Output, &name) // an old journal without it names no step
	return name
}
