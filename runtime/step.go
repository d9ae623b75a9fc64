package wildout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// RunInfo tells a handler which attempt of which step it is.
type RunInfo struct {
	// RunID is the id of the run, the same on every attempt.
	RunID string
	// Function is the name of the function.
	Function string
	// Step is the step's path of names, with the index of a forEach element:
	// send, or send[3].
	Step string
	// Attempt counts from 1.
	Attempt int
	// IdempotencyKey is the run id and the step's path: the same on every
	// attempt of this step, different for every other step.
	IdempotencyKey string
	// Deadline is when the attempt is cancelled.
	Deadline time.Time
	// EventID is the id of the event that started the run.
	EventID string
	// TraceParent and TraceState are the W3C trace context of the attempt, for
	// what it calls: headers of the same names. May be empty.
	TraceParent, TraceState string
}

type stepKey struct{}

// Info returns the RunInfo of the step whose handler was called with ctx.
// Outside a handler it is the zero RunInfo.
func Info(ctx context.Context) RunInfo {
	if c, ok := ctx.Value(stepKey{}).(*stepContext); ok {
		return c.info
	}
	return RunInfo{}
}

// SubSteps makes the durable operations of a handler. Each has a name, and each
// but Do returns ErrParked when the handler has to wait for it.
type SubSteps interface {
	// Do returns the stored output of the sub-step of that name, or calls fn and
	// stores what it returns. An ErrParked of fn is passed on.
	Do(ctx context.Context, name string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error)
	Sleep(ctx context.Context, name string, d time.Duration) error
	SleepUntil(ctx context.Context, name string, until time.Time) error
	// WaitForEvent returns the event, null when the time was up.
	WaitForEvent(ctx context.Context, name string, o WaitOptions) (json.RawMessage, error)
	Invoke(ctx context.Context, name string, call InvokeCall) (json.RawMessage, error)
	SendEvent(ctx context.Context, name string, events []OutEvent) (ids []string, err error)
}

// Step runs fn once per run: its result is stored under name, and a later
// call of the same handler gets the stored result in place of a second
// call. The context of fn carries a RunInfo with an idempotency key of its
// own. An error is not stored: the handler may return it, and the next
// attempt calls fn again. It fails outside a handler.
func Step[T any](ctx context.Context, name string, fn func(context.Context) (T, error)) (T, error) {
	var result T
	c, err := operation(ctx, "Step", false)
	if err != nil {
		return result, err
	}
	raw, err := c.steps.Do(ctx, name, func(ctx context.Context) (output json.RawMessage, err error) {
		defer recoverAsError(&err)
		value, err := fn(ctx)
		if Parked(ctx) {
			return nil, ErrParked // whatever fn has made of it
		}
		if err != nil {
			return nil, err
		}
		return encodeOutput(value)
	})
	if err = c.outcome(err); err != nil {
		return result, err
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		return result, NonRetriable(fmt.Errorf("the stored result of sub-step %s does not fit its type: %w", name, err))
	}
	return result, nil
}
