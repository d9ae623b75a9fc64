package worker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/wildout/wildout/runtime/store/runs"
)

// lease is the right of a runner to its runs: for as long as its heartbeats come
// through, nobody else takes them. One goroutine at a time beats; any may ask.
type lease struct {
	*self
	store heartbeats
	clock *clock
	// soon asks for a heartbeat at once. Whoever has a reason writes it.
	soon chan struct{}
	// until is how long it holds, by the monotonic clock of clock; the heartbeat
	// writes it.
	until atomic.Int64
	// over: it was found to have run out, and no later heartbeat brings it back.
	// Whoever finds it writes it.
	over atomic.Bool
	// rank is the runner's place among those that live, from 0; the heartbeat
	// writes it.
	rank atomic.Int64
}

// interval is the time between heartbeats.
func (l *lease) interval() time.Duration { return l.Lease * 3 / 10 }

// check is asked before every write, and before a run begins.
func (l *lease) check() error {
	if l.over.Load() || l.clock.elapsed() > time.Duration(l.until.Load()) {
		// Runs were refused a write: they are only taken up again elsewhere.
		l.over.Store(true)
		return runs.ErrFenced
	}
	return nil
}

// beat says that the runner lives and takes in what it is told.
func (l *lease) beat(ctx context.Context, first bool) (runs.Beat, error) {
	sent := l.clock.elapsed()
	patience := l.Lease / 2
	if !first { // whoever hangs here must notice the end of its own lease
		patience = min(patience, max(time.Millisecond, time.Duration(l.until.Load())-sent))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := l.store.Beat(ctx, l.Plan.Function, l.name, l.Lease, first)
	if err != nil {
		return b, err
	}
	if b.Fenced {
		return b, runs.ErrFenced
	}
	// The lease is counted from before the question: it must not outlast the
	// server's idea of it. A tenth is kept back for writes on their way.
	l.until.Store(int64(sent + l.Lease*9/10))
	l.clock.set(b.Now, sent, first)
	l.rank.Store(int64(b.Rank))
	return b, nil
}

// keep beats until ctx ends or the lease has run out, which is told. Each
// heartbeat that came through is told too; an error of that is trouble, and so
// the next one comes sooner.
func (l *lease) keep(ctx context.Context, told func(context.Context, runs.Beat) error, lost func(error)) {
	wait := l.interval()
	for {
		select {
		case <-time.After(wait):
		case <-l.soon:
		case <-ctx.Done():
			return
		}
		b, err := l.beat(ctx, false)
		if ctx.Err() != nil {
			return
		}
		if l.check() != nil || b.Fenced {
			lost(err)
			return
		}
		if err == nil {
			err = told(ctx, b)
		}
		wait = l.interval()
		l.setHealth(err)
		if err != nil {
			wait = l.interval() / 4
		}
	}
}
