package wildout

import (
	"context"
	"sync"
	"time"
)

// stepContext is the context of an attempt. Its end is made of a timer and a
// channel only when somebody asks for it: a handler that computes for a
// microsecond never does.
type stepContext struct {
	parent context.Context
	info   RunInfo
	steps  SubSteps
	branch *branch
	own    branch // of a context that begins one
	// unbound: no engine has called the handler, so that nothing unwinds it.
	unbound bool

	mu     sync.Mutex
	over   bool            // the attempt has ended
	real   context.Context // parent with the deadline; nil until asked for
	cancel context.CancelFunc
}

// NewStepContext returns the context of one attempt: it ends with parent, at
// info.Deadline (never, when that is zero) and with the returned function. Info
// and Step find what they need in it; nil steps make Step fail. The engine
// calls it.
func NewStepContext(parent context.Context, info RunInfo, steps SubSteps) (context.Context, context.CancelFunc) {
	c := &stepContext{parent: parent, info: info, steps: steps}
	if outer, within := parent.Value(stepKey{}).(*stepContext); within {
		c.branch = outer.branch
		c.unbound = outer.unbound
	} else {
		c.branch = &c.own
	}
	return c, c.end
}

// WithInfo returns a context that carries info, for the test of a handler. The
// operations of steps that return ErrParked are errors there: the test has
// called the handler, and not the engine.
func WithInfo(ctx context.Context, info RunInfo, steps SubSteps) context.Context {
	c := &stepContext{parent: ctx, info: info, steps: steps, unbound: true}
	c.branch = &c.own
	return c
}

func (c *stepContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline implements context.Context.
func (c *stepContext) Deadline() (time.Time, bool) {
	at, ok := c.parent.Deadline()
	if own := c.info.Deadline; !own.IsZero() && (!ok || own.Before(at)) {
		return own, true
	}
	return at, ok
}

// Done implements context.Context.
func (c *stepContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		if c.info.Deadline.IsZero() {
			c.real, c.cancel = context.WithCancel(c.parent)
		} else {
			c.real, c.cancel = context.WithDeadline(c.parent, c.info.Deadline)
		}
		if c.over {
			c.cancel()
		}
	}
	return c.real.Done()
}

// Err implements context.Context.
func (c *stepContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.real != nil:
		return c.real.Err()
	case c.over:
		return context.Canceled
	case !c.info.Deadline.IsZero() && !time.Now().Before(c.info.Deadline):
		return context.DeadlineExceeded
	}
	return c.parent.Err()
}

// Value implements context.Context.
func (c *stepContext) Value(key any) any {
	if key == (stepKey{}) {
		return c
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real != nil {
		// The package context looks here for the context whose end it may join.
		return c.real.Value(key)
	}
	return c.parent.Value(key)
}
