package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// stallAfter is how long a measurement waits for the next finished run before
// it gives up: much longer than any contender needs for one.
const stallAfter = 30 * time.Second

// A board notes when each run of a measurement was published and finished.
// Its methods may be called from many goroutines.
type board struct {
	start time.Time
	// Nanoseconds since start; 0 means not yet.
	publishedAt, finishedAt []atomic.Int64
	left, repeated          atomic.Int64
	all                     chan struct{} // closed when left is 0
}

func newBoard(runs int) *board {
	b := &board{
		start:       time.Now(),
		publishedAt: make([]atomic.Int64, runs),
		finishedAt:  make([]atomic.Int64, runs),
		all:         make(chan struct{}),
	}
	b.left.Store(int64(runs))
	return b
}

// published notes that the event of run i is about to be published.
func (b *board) published(i int) { b.publishedAt[i].Store(b.now()) }

// finished notes that run i is finished. A second time is counted apart.
func (b *board) finished(i int) {
	if !b.finishedAt[i].CompareAndSwap(0, b.now()) {
		b.repeated.Add(1)
		return
	}
	if b.left.Add(-1) == 0 {
		close(b.all)
	}
}

// finishedID is finished for a run id.
func (b *board) finishedID(id string) error {
	i, err := runIndex(id)
	if err != nil {
		return err
	}
	if i >= len(b.finishedAt) {
		return fmt.Errorf("run %s is finished, but this measurement has %d runs", id, len(b.finishedAt))
	}
	b.finished(i)
	return nil
}

func (b *board) now() int64 { return int64(time.Since(b.start)) + 1 }

// wait returns when every run is finished, ctx is done, or nothing was
// finished for stallAfter.
func (b *board) wait(ctx context.Context) error {
	tick := time.NewTicker(stallAfter)
	defer tick.Stop()
	before := b.left.Load()
	for {
		select {
		case <-b.all:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			now := b.left.Load()
			if now == before {
				return fmt.Errorf("no run was finished for %v, %d of %d are open", stallAfter, now, len(b.finishedAt))
			}
			before = now
		}
	}
}

// latencies are the times from published to finished of the runs from first
// on, in their order.
func (b *board) latencies(first int) []time.Duration {
	var ds []time.Duration
	for i := first; i < len(b.finishedAt); i++ {
		ds = append(ds, time.Duration(b.finishedAt[i].Load()-b.publishedAt[i].Load()))
	}
	return ds
}
