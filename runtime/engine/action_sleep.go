package engine

import (
	"context"
	"encoding/json"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// sleep waits for a time. The progress has it, from the first time that the run
// is parked; there is no result: once its time has come a sleep is over.
type sleep plan.Sleep

func (a *sleep) begin(x *execution, u *unit) *run.Failure {
	if u.prog.Due == 0 {
		until := x.clock.Add(a.For)
		if a.Until != nil {
			var err error
			if until, err = a.Until.Time(&x.scope); err != nil {
				return x.refuse(u, "sleepUntil: %w", err)
			}
		}
		// A due time of 0 means none; whoever sleeps until 1970 wakes at once.
		u.prog.Due = max(1, until.UnixMilli())
	}
	if u.prog.Due > x.clock.UnixMilli() {
		return u.wait()
	}
	u.timed = true
	// It ended when it was due, however late the run goes on.
	return x.endNow(u, u.prog.Since, min(x.Now().UnixMilli(), u.prog.Due), nil, nil)
}

func (a *sleep) recall(x *execution, u *unit) *run.Failure {
	if u.prog.Due == 0 { // it had not begun
		return u.wait()
	}
	return a.begin(x, u)
}

func (*sleep) mark() run.Kind { return run.KindSleep }
func (*sleep) told() bool     { return true }

func (*sleep) operation() *run.Operation { return &run.Operation{} }
func (*sleep) does() string              { return plan.KindSleep.Verb() }

// Sleep implements wildout.SubSteps.
func (s *subSteps) Sleep(_ context.Context, name string, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	_, err := s.await(name, func() (plan.Action, error) { return &plan.Sleep{For: d}, nil })
	return err
}

// SleepUntil implements wildout.SubSteps.
func (s *subSteps) SleepUntil(_ context.Context, name string, until time.Time) error {
	if !until.After(s.a.x.Now()) {
		return nil
	}
	_, err := s.await(name, func() (plan.Action, error) {
		text, err := json.Marshal(until)
		return &plan.Sleep{Until: plan.Constant(text)}, wildout.NonRetriable(err)
	})
	return err
}
