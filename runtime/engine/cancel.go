package engine

import (
	"context"
	"fmt"
	"sync"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/run"
)

// Cancel ends one run from outside: what is under way is interrupted, nothing
// more begins, and onFailure is not taken. The zero value is ready.
type Cancel struct {
	mu     sync.Mutex
	asked  bool
	reason string
	stop   context.CancelCauseFunc // of the leg under way
}

// Ask ends the run; the first reason counts.
func (c *Cancel) Ask(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked {
		return
	}
	c.asked, c.reason = true, reason
	if c.stop != nil {
		c.stop(c.causeLocked())
	}
}

// Asked reports whether the end of the run was asked for.
func (c *Cancel) Asked() bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// Reason is what was given with the request; it may be empty.
func (c *Cancel) Reason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// attach takes the function that stops a leg, and reports whether the end was
// asked for before.
func (c *Cancel) attach(stop context.CancelCauseFunc) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = stop
	if c.asked {
		stop(c.causeLocked())
	}
	return c.asked
}

// causeLocked is what handlers see.
func (c *Cancel) causeLocked() error {
	if c.reason == "" {
		return wildout.ErrCancelled
	}
	return fmt.Errorf("%w: %s", wildout.ErrCancelled, c.reason)
}

func (x *execution) cancelled() bool { return x.run.Cancel.Asked() }

// children lists the invoked runs that have not ended.
func (x *execution) children() []run.Child {
	var all []run.Child
	for _, m := range x.machines() {
		for _, n := range m.nodes {
			n.each(func(u *unit) {
				a, outside := u.node.action.(fromOutside)
				if !outside || u.state == ended {
					return
				}
				if child := a.child(u); child != nil {
					all = append(all, *child)
				}
			})
		}
	}
	return all
}
