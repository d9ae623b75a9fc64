package worker

import (
	"context"
	"sync"
)

// gate counts the runs that a runner has and says how many more it may take.
type gate struct {
	mu      sync.Mutex
	used    int
	limit   int // what the runner itself can carry
	granted int // slots held of the function's unkeyed concurrency limit; -1: there is none
	// changed is closed when a place may have become free; nil while nobody waits.
	changed chan struct{}
}

func newGate(limit int) *gate {
	return &gate{limit: limit, granted: -1}
}

func (g *gate) freeLocked() int {
	n := g.limit
	if g.granted >= 0 {
		n = min(n, g.granted)
	}
	return max(0, n-g.used)
}

// free returns how many runs may begin.
func (g *gate) free() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.freeLocked()
}

// wait returns how many runs may begin, once it is more than none; 0 when ctx
// has ended.
func (g *gate) wait(ctx context.Context) int {
	for {
		g.mu.Lock()
		n := g.freeLocked()
		if n > 0 {
			g.mu.Unlock()
			return n
		}
		changed := g.waitLocked()
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return 0
		}
	}
}

// tryEnter takes a place if there is one.
func (g *gate) tryEnter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.freeLocked() == 0 {
		return false
	}
	g.used++
	return true
}

// enter takes a place when there is one, and waits for it otherwise.
func (g *gate) enter(ctx context.Context) bool {
	for {
		g.mu.Lock()
		if g.freeLocked() > 0 {
			g.used++
			g.mu.Unlock()
			return true
		}
		changed := g.waitLocked()
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	g.used--
	g.notifyLocked()
	g.mu.Unlock()
}

// grant sets the slots held of the concurrency limit.
func (g *gate) grant(n int) {
	g.mu.Lock()
	g.granted = n
	g.notifyLocked()
	g.mu.Unlock()
}

// lower makes the slots held fewer, never more.
func (g *gate) lower(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.granted > n {
		g.granted = n
	}
}

func (g *gate) inUse() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used
}

func (g *gate) waitLocked() chan struct{} {
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.changed
}

func (g *gate) notifyLocked() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// share returns the slots held of the concurrency limit, or the runner's own
// limit when there is none.
func (g *gate) share() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.granted < 0 {
		return g.limit
	}
	return g.granted
}
