package engine

import (
	"sync"
	"time"
)

// watch finds attempts that ignore the end of their context and gives them up.
// One goroutine looks after all attempts of an engine: a timer for each would
// cost more than most handlers.
type watch struct {
	mu      sync.Mutex
	open    []*attempt
	looking bool
	shut    bool
	stop    chan struct{}
}

const (
	watchPeriod = 200 * time.Millisecond
	// watchIdle is how many looks without an attempt end the goroutine.
	watchIdle = 25
)

func (w *watch) add(a *attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.index = len(w.open)
	w.open = append(w.open, a)
	if !w.looking && !w.shut {
		w.looking, w.stop = true, make(chan struct{})
		go w.look(w.stop)
	}
}

// remove takes an attempt out; false means that it was given up.
func (w *watch) remove(a *attempt) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.removeLocked(a)
}

func (w *watch) removeLocked(a *attempt) bool {
	if a.index < 0 {
		return false
	}
	last := w.open[len(w.open)-1]
	w.open[a.index], last.index = last, a.index
	w.open[len(w.open)-1] = nil
	w.open = w.open[:len(w.open)-1]
	a.index = -1
	return true
}

func (w *watch) look(stop chan struct{}) {
	ticker := time.NewTicker(watchPeriod)
	defer ticker.Stop()
	var now time.Time // of this machine: how long something takes is measured by it
	for idle := 0; ; {
		select {
		case <-stop:
			return
		case now = <-ticker.C:
		}
		late, left := w.late(now)
		for _, a := range late {
			go a.giveUp()
		}
		if idle++; left > 0 {
			idle = 0
		}
		if w.rest(idle > watchIdle) {
			return
		}
	}
}

// late takes out the attempts that had time enough to return, and says how
// many are left.
func (w *watch) late(now time.Time) (late []*attempt, left int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i < len(w.open); {
		a := w.open[i]
		if a.ended.IsZero() && a.ctx.Err() != nil {
			a.ended = now
		}
		if a.ended.IsZero() || now.Sub(a.ended) < patience {
			i++
			continue
		}
		w.removeLocked(a)
		if a.here {
			// Before the handler can return and find out by itself.
			a.x.moved.Store(true)
		}
		late = append(late, a)
	}
	return late, len(w.open)
}

// rest ends the looking when it is idle, or closed, and nothing is open.
func (w *watch) rest(idle bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open) > 0 || !idle && !w.shut {
		return false
	}
	w.looking = false
	return true
}

func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = true
	if w.looking && len(w.open) == 0 {
		w.looking = false
		close(w.stop)
	}
}
