package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/run"
)

// errTimeout ends a run whose timeout or deadline has passed.
var errTimeout = errors.New("the run's time is up")

// deadline returns when the run must have ended, or zero. A run that has
// failed is not bounded any more: its onFailure steps are there for just that
// case, and have time-outs of their own.
func (x *execution) deadline() time.Time {
	d := x.run.Deadline
	if d == 0 || x.failure != nil {
		return time.Time{}
	}
	return x.run.StartedAt.Add(d)
}

// timeLeft returns how long the run may still be active, and whether there is
// a bound at all.
func (x *execution) timeLeft() (time.Duration, bool) {
	left, bounded := time.Duration(0), false
	if t := x.run.Timeout; t > 0 && x.failure == nil {
		left, bounded = t-x.run.Active, true
	}
	if end := x.deadline(); !end.IsZero() {
		if d := end.Sub(x.Now()); !bounded || d < left {
			left, bounded = d, true
		}
	}
	return left, bounded
}

func (x *execution) timeoutFailure() *run.Failure {
	if end := x.deadline(); !end.IsZero() && !x.Now().Before(end) {
		return &run.Failure{Message: fmt.Sprintf("deadline: the run began at %s and had not ended after %s (spec.deadline)",
			x.run.StartedAt.UTC().Format(time.RFC3339), x.run.Deadline), Step: x.openStep()}
	}
	return &run.Failure{Message: fmt.Sprintf("timeout: the run was active for more than %s (spec.timeout)", x.run.Timeout), Step: x.openStep()}
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
