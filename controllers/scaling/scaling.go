// Package scaling decides how many runners a function has. It is pure: what
// there is to do, what was decided before and the time give the number. Up at
// once; down when fewer were enough for the whole of a window, as with an HPA;
// and never by what is not known. The package must not know Redis, Deployments
// or whose function it is.
package scaling

import (
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/view"
)

// What is known to come is not waited for without a runner.
const (
	// KeepFor is within which a timer keeps the last runner: to end it and to
	// start another one costs more.
	KeepFor = time.Minute
	// StartAhead is how long before a timer is due a runner starts.
	StartAhead = 3 * time.Second
)

// Limits are what a function allows.
type Limits struct {
	// Min and Max bound the runners.
	Min, Max int32
	// Target is how much one runner has to do before there is another one.
	Target int32
	// Window is for how long fewer runners must have been enough.
	Window time.Duration
	// Useful is how many runners can have something to do at once; 0: any number.
	Useful int32
}

// LimitsOf returns the limits of a function with spec.runner.scaling. A window
// that cannot be read, which the API server would not have taken, is none.
func LimitsOf(spec *v1alpha1.WildoutFunctionSpec) Limits {
	s := spec.Runner.Scaling
	window, _ := s.StabilizationWindow.Parse()
	l := Limits{Min: s.Min, Max: s.Max, Target: max(s.TargetBacklog, 1), Window: window}
	for _, c := range spec.Concurrency {
		if c.Key == "" { // a runner has its share of the runs: beyond the limit there is none left
			l.Useful = c.Limit
		}
	}
	return l
}

// Wants is how many runners the work asks for where there are so many now.
func (l Limits) Wants(w view.Work, runners int32, now time.Time) int32 {
	wanted := (w.Open + int64(l.Target) - 1) / int64(l.Target)
	if w.Queued || isNear(w.Next, runners, now) {
		wanted = max(wanted, 1)
	}
	return max(l.Min, int32(min(wanted, int64(l.most()))))
}

// most is how many runners there are at most.
func (l Limits) most() int32 {
	if l.Useful > 0 {
		return min(l.Max, l.Useful)
	}
	return l.Max
}

// isNear reports whether the next timer is worth a runner already.
func isNear(next time.Time, runners int32, now time.Time) bool {
	ahead := KeepFor
	if runners == 0 {
		ahead = StartAhead
	}
	return !next.IsZero() && next.Sub(now) <= ahead
}

// Memory is what was wanted within the window, as far as it still counts: each
// number is smaller than the one before, and was wanted later.
type Memory []wanted

// wanted is a number of runners, and when it was the last one that was wanted.
type wanted struct {
	runners int32
	last    time.Time
}

// Decision is how many runners there shall be.
type Decision struct {
	Runners int32
	// Again is after which time to decide anew though nothing has changed; 0:
	// time alone changes nothing.
	Again time.Duration
}

// Decide decides. Who has no Memory yet, such as an operator that has just begun,
// takes the runners that there are for what was wanted until now. A nil work
// means that nobody knows: then what is there stays.
func (m Memory) Decide(l Limits, work *view.Work, runners int32, now time.Time) (Decision, Memory) {
	if len(m) == 0 {
		m = Memory{{runners, now}}
	}
	m = append(Memory{}, m...)
	m[len(m)-1].last = now // it was wanted until another number is
	wants := max(l.Min, min(m.highest(now, l.Window), l.most()))
	if work != nil {
		wants = l.Wants(*work, runners, now)
	}
	for len(m) > 0 && m[len(m)-1].runners <= wants {
		m = m[:len(m)-1]
	}
	m = append(m, wanted{wants, now})
	for len(m) > 1 && !m[0].last.Add(l.Window).After(now) {
		m = m[1:]
	}
	d := Decision{Runners: max(l.Min, min(m[0].runners, l.most()))}
	if len(m) > 1 {
		d.Again = m[0].last.Add(l.Window).Sub(now)
	}
	return d, m
}

// highest is the highest number that still counts.
func (m Memory) highest(now time.Time, window time.Duration) int32 {
	for _, w := range m {
		if w.last.Add(window).After(now) {
			return w.runners
		}
	}
	return m[len(m)-1].runners
}
