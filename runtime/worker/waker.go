package worker

import (
	"context"
	"sync/atomic"
	"time"
)

// waker puts runs back whose time has come, and starts those of schedules. Its
// goroutines own it; anybody may note a time.
type waker struct {
	*self
	store timers
	clock *clock
	// due is the next known timer, in ms of the server's clock; 0: none. Whoever
	// parks a run writes it, and the heartbeat.
	due     atomic.Int64
	changed chan struct{} // due has become earlier
}

func newWaker(s *self, c *clock) *waker {
	return &waker{self: s, store: s.Store, clock: c, changed: make(chan struct{}, 1)}
}

// note makes the waker look at a time, if that is earlier than what it waits for.
func (w *waker) note(at time.Time) {
	if at.IsZero() {
		return
	}
	ms := at.UnixMilli()
	for {
		have := w.due.Load()
		if have != 0 && have <= ms {
			return
		}
		if w.due.CompareAndSwap(have, ms) {
			select {
			case w.changed <- struct{}{}:
			default:
			}
			return
		}
	}
}

// fires is how many runs are put back at once.
const fires = 256

// run puts runs back until ctx ends.
func (w *waker) run(ctx context.Context) {
	for ctx.Err() == nil {
		if !w.wait(ctx) {
			continue
		}
		w.due.Store(0)
		fired, next, _, err := w.store.Fire(ctx, w.Plan.Function, fires)
		switch {
		case err != nil:
			w.note(w.clock.now().Add(time.Second))
		case fired == fires:
			w.note(w.clock.now())
		default:
			w.note(next)
		}
	}
}

// wait waits for the next timer; false: it is another one now, or ctx has ended.
func (w *waker) wait(ctx context.Context) bool {
	wait := time.Hour
	if ms := w.due.Load(); ms != 0 {
		wait = time.UnixMilli(ms).Sub(w.clock.now())
	}
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.changed:
	case <-ctx.Done():
	}
	return false
}

// sleep waits; false means that ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
