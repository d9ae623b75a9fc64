package wildout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A handler may wait for days. Sleep, SleepUntil, WaitForEvent and Invoke do
// not block: the run is put aside and the handler is unwound, as by a panic
// (deferred calls run). When what it waits for is there, the handler is called
// again from its beginning, and each operation that is over returns at once
// what it has come to. So what is between the operations runs again: put
// effects, and what is not the same the second time (the clock, random numbers),
// into Step. It costs no attempt, and the step's timeout bounds each call, not
// the wait.
//
// Each operation has a name, which is its identity: the same in every call, and
// no two alike in one handler. In a loop write fmt.Sprintf("pause-%d", i).
//
// A handler that recovers from the unwinding goes on as if the operation had
// failed with ErrParked. Then the run waits all the same, whatever the handler
// returns, and no further operation of it is done; but what else it does
// happens, too early. So recover only from panics of your own.

// Sleep waits for d, from the first time that it is called. An error is one of
// its use, or of the journal: return it.
func Sleep(ctx context.Context, name string, d time.Duration) error {
	c, err := named(ctx, "Sleep", name, true)
	if err != nil {
		return err
	}
	return c.outcome(c.steps.Sleep(ctx, name, d))
}

// SleepUntil waits until a time. It is over at once when that has passed.
func SleepUntil(ctx context.Context, name string, until time.Time) error {
	c, err := named(ctx, "SleepUntil", name, true)
	if err != nil {
		return err
	}
	return c.outcome(c.steps.SleepUntil(ctx, name, until))
}

// WaitOptions say which event a handler waits for.
type WaitOptions struct {
	// Event is its type. With Match it must be in the manifest, among the waits
	// of the step: a runner reads what manifests name, and nothing else.
	Event string
	// Match is the path of a value in the event, such as data.orderId, which must
	// be equal to Value. Empty: any event of the type.
	Match string
	// Value is text, a number or a boolean. Nil: what the event that started the
	// run has at Match.
	Value any
	// Timeout is how long to wait: at least a millisecond.
	Timeout time.Duration
}

// Received is an event that a handler waited for.
type Received[T any] struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Source  string    `json:"source"`
	Subject string    `json:"subject"`
	Time    time.Time `json:"time"`
	Data    T         `json:"data"`
}

// WaitForEvent waits for an event that was published after the run began, and
// returns it; nil when the time was up. Data that does not fit T is an error
// that no retry mends.
func WaitForEvent[T any](ctx context.Context, name string, o WaitOptions) (*Received[T], error) {
	c, err := named(ctx, "WaitForEvent", name, true)
	if err != nil {
		return nil, err
	}
	raw, err := c.steps.WaitForEvent(ctx, name, o)
	if err = c.outcome(err); err != nil {
		return nil, err
	}
	var e *Received[T]
	err = fits(name, raw, &e)
	return e, err
}

// InvokeOption is a part of how a function is invoked.
type InvokeOption func(*InvokeCall)

// InvokeCall is a function to run, as SubSteps are told of it.
type InvokeCall struct {
	Function string
	// Data is a JSON object; empty: {}.
	Data json.RawMessage
	// Timeout is how long to wait; 0: until the run has ended.
	Timeout time.Duration
}

// InvokeTimeout bounds the wait for an invoked run. When it is over, the run
// goes on by itself.
func InvokeTimeout(d time.Duration) InvokeOption { return func(c *InvokeCall) { c.Timeout = d } }

// InvokeError says that an invoked run failed, was cancelled, or took too long.
// Another attempt finds the same: it is NonRetriable.
type InvokeError struct{ Function, Message string }

func (e *InvokeError) Error() string { return e.Message }

// Invoke runs another function of the same namespace, waits for it, and returns
// its output. data becomes the data of the event that the run sees: an object;
// nil: {}. The run is started once. How it failed is an *InvokeError.
func Invoke[Out any](ctx context.Context, name, function string, data any, options ...InvokeOption) (Out, error) {
	var out Out
	c, err := named(ctx, "Invoke", name, true)
	if err != nil {
		return out, err
	}
	call := InvokeCall{Function: function}
	for _, option := range options {
		option(&call)
	}
	if call.Data, err = encodeObject(data); err != nil {
		return out, err
	}
	raw, err := c.steps.Invoke(ctx, name, call)
	if err = c.outcome(err); err != nil {
		return out, err
	}
	err = fits(name, raw, &out)
	return out, err
}

// Event is an event to send.
type Event struct {
	// Type is its type, such as order/paid.
	Type string
	// Data becomes a JSON object; nil: {}.
	Data any
	// ID: of events of one type with the same id within 24 hours one is kept.
	// Empty: derived from the run and the operation.
	ID string
}

// OutEvent is an Event with its data encoded, as SubSteps are told of it.
type OutEvent struct {
	Type, ID string
	Data     json.RawMessage
}

// SendEvent sends events, exactly once, and returns their ids. It does not
// wait, and may be called in any goroutine.
func SendEvent(ctx context.Context, name string, events ...Event) ([]string, error) {
	c, err := named(ctx, "SendEvent", name, false)
	if err != nil {
		return nil, err
	}
	out := make([]OutEvent, len(events))
	for i, e := range events {
		out[i] = OutEvent{Type: e.Type, ID: e.ID}
		if out[i].Data, err = encodeObject(e.Data); err != nil {
			return nil, err
		}
	}
	ids, err := c.steps.SendEvent(ctx, name, out)
	return ids, c.outcome(err)
}

func named(ctx context.Context, function, name string, parks bool) (*stepContext, error) {
	c, err := operation(ctx, function, parks)
	if err != nil {
		return nil, err
	}
	return c, checkName(name)
}

// fits decodes what an operation has come to.
func fits(name string, raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return NonRetriable(fmt.Errorf("the result of %s does not fit its type: %w", name, err))
	}
	return nil
}

func encodeObject(data any) (json.RawMessage, error) {
	if data == nil {
		return json.RawMessage("{}"), nil
	}
	raw, err := encodeOutput(data)
	if err == nil && (len(raw) == 0 || raw[0] != '{') {
		err = NonRetriable(fmt.Errorf("the data of an event must be an object, and this is %.40s", raw))
	}
	return raw, err
}
