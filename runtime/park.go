package wildout

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
)

// ErrParked is what SubSteps return of an operation that has to wait: the run
// is put aside, and the handler is called again when there is more to tell it.
// Handlers never see it, unless they recover from what unwinds them.
var ErrParked = errors.New("the run waits: the handler is called again when it goes on")

// parking unwinds a handler whose run is put aside.
type parking struct{}

// String is what a handler prints that recovers from everything.
func (parking) String() string { return ErrParked.Error() }

// branch is a line of calls in a handler: what comes after a wait must not run
// before the wait is over. A handler is one branch, and those of Parallel are
// others.
type branch struct{ parked atomic.Bool }

// protect calls fn, and makes an error of a panic: ErrParked, where fn was
// unwound to wait, else a *PanicError.
//
//go:noinline
func protect(fn func() error) (err error) {
	defer recoverAsError(&err)
	return fn()
}

// protectName is how protect is called on a stack.
var protectName = runtime.FuncForPC(reflect.ValueOf(protect).Pointer()).Name()

// protected reports whether this goroutine can be unwound: whether a handler,
// or a branch of Parallel, was called in it.
func protected() bool {
	pcs := make([]uintptr, 64)
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs)
		frames := runtime.CallersFrames(pcs[:n])
		for {
			frame, more := frames.Next()
			if frame.Function == protectName {
				return true
			}
			if !more {
				break
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}

// park ends the calls of this branch. It returns only where there is nothing to
// unwind: in a goroutine of the handler's own.
func (c *stepContext) park() error {
	c.branch.parked.Store(true)
	if c.unbound || !protected() {
		return ErrParked
	}
	panic(parking{})
}

// operation returns what a durable operation needs: name is that of the
// function, for errors. One that may park is refused in a goroutine that the
// handler has started by itself, where nothing could stop the code behind it.
func operation(ctx context.Context, name string, parks bool) (*stepContext, error) {
	c, ok := ctx.Value(stepKey{}).(*stepContext)
	switch {
	case !ok || c.steps == nil:
		return nil, fmt.Errorf("wildout.%s was called outside a handler: pass on the context that the handler was given", name)
	case parks && !c.unbound && !protected():
		return nil, NonRetriable(fmt.Errorf("wildout.%s was called in a goroutine that the handler has started by itself, and cannot wait there: start it with wildout.Parallel", name))
	case c.branch.parked.Load():
		err := c.park()
		return c, err
	}
	return c, nil
}

// outcome passes on how an operation has ended; one that has to wait unwinds.
func (c *stepContext) outcome(err error) error {
	if errors.Is(err, ErrParked) {
		return c.park()
	}
	return err
}

// Parked reports whether the handler that was called with ctx waits, whatever
// it has returned. The engine asks it.
func Parked(ctx context.Context) bool {
	c, ok := ctx.Value(stepKey{}).(*stepContext)
	return ok && c.branch.parked.Load()
}

// Parallel calls the branches side by side and returns when each of them has
// ended: nil, or what they returned, joined. It makes what waits (Sleep,
// WaitForEvent, Invoke) wait side by side: one that has to wait ends its branch
// for now and no other, and Parallel waits when none of the others can go on.
// The error of a branch goes before the waits of others: Parallel returns it,
// and they go on to wait when it is called again.
//
// Each branch is to use the context that it is given, and the names in all of
// them are names of one handler.
func Parallel(ctx context.Context, branches ...func(context.Context) error) error {
	c, err := operation(ctx, "Parallel", true)
	if err != nil {
		return err
	}
	ends := make([]error, len(branches))
	done := make(chan struct{})
	for i, fn := range branches {
		go func() {
			defer func() { done <- struct{}{} }()
			own := &stepContext{parent: ctx, info: c.info, steps: c.steps, unbound: c.unbound}
			own.branch = &own.own
			defer own.end()
			ends[i] = protect(func() error { return fn(own) })
			if own.branch.parked.Load() {
				ends[i] = ErrParked // whatever it has made of it
			}
		}()
	}
	for range branches {
		<-done
	}
	waits := false
	for i, end := range ends {
		if errors.Is(end, ErrParked) {
			waits = true
			ends[i] = nil
		}
	}
	if err := errors.Join(ends...); err != nil || !waits {
		return err
	}
	return c.park()
}

// checkName refuses a name that no journal can have as a part of a path.
func checkName(name string) error {
	if name == "" || len(name) > 200 || strings.ContainsAny(name, "/[] \t\r\n") {
		return NonRetriable(fmt.Errorf("%q is no name of a durable operation: write one without blanks, slashes and brackets, such as approval or pause-3", name))
	}
	return nil
}
