package runs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

// ErrFenced says that the runner's lease ran out: it must not write any more.
var ErrFenced = errors.New("the lease of this runner ran out; its runs belong to others now")

// ErrClosed says that the committer has stopped.
var ErrClosed = errors.New("the group commit has stopped")

const (
	flushers   = 2   // two in flight hide the round trip
	maxBatch   = 512 // operations of one flush
	finishSize = 128 // runs of one finish script: bounds how long Redis is busy with it
)

// operation is a write that waits for the next flush. Every operation may be
// sent twice: an answer that was lost is asked for again.
type operation struct {
	// queue adds the command to a pipeline; nil for the end of a run.
	queue func(redis.Pipeliner) redis.Cmder
	// full takes the place of queue once a full Redis has refused that; nil: then
	// it waits until there is room.
	full   func(redis.Pipeliner) redis.Cmder
	finish *finishOp
	cmd    redis.Cmder
	err    error
	done   chan struct{} // from signals; gets one value
}

// signals are channels for one value, used again and again.
var signals = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

// Committer is the group commit of one runner: what waits goes out in one
// pipeline, so that durability costs a round trip per batch and not per step.
// An idle committer flushes at once, a busy one takes what has gathered
// meanwhile; there is no timer. It repeats what failed until Redis is back.
type Committer struct {
	store    *Store
	function string
	runs     string   // the prefix of journal keys
	ends     []string // the keys that every finish script names first
	limits   HistoryLimits
	// guard is asked before every flush whether the runner still has its lease.
	guard func() error

	mu      sync.Mutex
	pending []*operation
	closed  bool
	wake    chan struct{}
	wg      sync.WaitGroup
	cancel  context.CancelFunc
	stats   CommitStats
	observe func(operations, repeat int, took time.Duration)
	trouble [flushers]error // what each flusher repeats its writes for
}

// CommitStats counts the work of a Committer.
type CommitStats struct {
	Flushes    int64
	Operations int64
	Retries    int64
	// Trouble is what writes are being repeated for; nil when none are.
	Trouble error
}

// NewCommitter starts the group commit of a runner of function. Close ends it.
func (s *Store) NewCommitter(function string, limits HistoryLimits, guard func() error) *Committer {
	ctx, cancel := context.WithCancel(context.Background())
	k := s.keys
	c := &Committer{store: s, function: function, runs: k.Run(function, ""), ends: []string{k.Done(function), k.Dead(function), k.Versions(function), k.Counters(function), k.Cancels(function)}, limits: limits, guard: guard, wake: make(chan struct{}, flushers), cancel: cancel}
	for i := range flushers {
		c.wg.Go(func() { c.loop(ctx, &c.trouble[i]) })
	}
	return c
}

// Close fails what still waits and ends the goroutines.
func (c *Committer) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	for left := c.take(); len(left) > 0; left = c.take() {
		fail(left, ErrClosed)
	}
}

// Stats returns what was done so far.
func (c *Committer) Stats() CommitStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	for _, err := range c.trouble {
		if err != nil {
			stats.Trouble = err
		}
	}
	return stats
}

// Observe has fn told of every flush: its operations, how many of them must be
// sent again, and how long Redis took. It must return at once.
func (c *Committer) Observe(fn func(operations, repeat int, took time.Duration)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observe = fn
}

// do waits until op was flushed.
func (c *Committer) do(ctx context.Context, op *operation) error {
	op.done = signals.Get().(chan struct{})
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.pending = append(c.pending, op)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // a flusher will look anyway
	}
	if ctx.Done() == nil { // the common case, and cheaper
		<-op.done
		signals.Put(op.done)
		return op.err
	}
	select {
	case <-op.done:
		signals.Put(op.done)
		return op.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Committer) take() []*operation {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.pending), maxBatch)
	batch := c.pending[:n:n]
	c.pending = c.pending[n:]
	if len(c.pending) == 0 {
		c.pending = nil
	}
	return batch
}

func (c *Committer) loop(ctx context.Context, trouble *error) {
	for {
		batch := c.take()
		if len(batch) == 0 {
			select {
			case <-c.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		for wait := 20 * time.Millisecond; len(batch) > 0; wait = min(2*wait, 2*time.Second) {
			batch = c.flush(ctx, batch, trouble)
			if len(batch) == 0 {
				break
			}
			select {
			case <-time.After(wait):
				// A full Redis refuses what needs memory and takes what frees it, such
				// as the end of a run: that must not wait for the others.
				batch = append(batch, c.take()...)
			case <-ctx.Done():
				fail(batch, ErrClosed)
				return
			}
		}
	}
}

func fail(batch []*operation, err error) {
	for _, op := range batch {
		op.err = err
		op.done <- struct{}{}
	}
}

// flush sends a batch and returns what must be sent again.
func (c *Committer) flush(ctx context.Context, batch []*operation, trouble *error) (again []*operation) {
	if c.guard != nil {
		if err := c.guard(); err != nil {
			fail(batch, err)
			return nil
		}
	}
	pipe := c.store.rdb.Pipeline()
	var ends []*operation
	for _, op := range batch {
		if op.finish != nil {
			ends = append(ends, op)
			continue
		}
		op.cmd = op.queue(pipe)
	}
	for rest := ends; len(rest) > 0; {
		n := min(len(rest), finishSize)
		cmd := c.queueFinish(pipe, rest[:n])
		for i, op := range rest[:n] {
			op.cmd, op.finish.index = cmd, i
		}
		rest = rest[n:]
	}
	began := c.store.conn.Local()
	_, _ = pipe.Exec(ctx) // each command has its own error
	return c.settle(ctx, batch, c.store.conn.Local().Sub(began), trouble)
}

// passes reports whether the same command may succeed later: whatever is no
// answer of Redis is trouble on the way to it.
func passes(fault store.Fault) bool {
	return fault.Passes() || fault == store.Foreign || fault == store.Stopped
}

// settle answers those who wait and returns what must be sent again.
func (c *Committer) settle(ctx context.Context, batch []*operation, took time.Duration, trouble *error) (again []*operation) {
	var refused error
	reload := false
	for _, op := range batch {
		err := op.cmd.Err()
		fault := store.FaultOf(err)
		if fault == store.Absent {
			err = nil
		}
		if passes(fault) {
			refused = err
			if op.full != nil && fault == store.Full {
				op.queue = op.full
			}
			reload = reload || fault == store.NoScript
			again = append(again, op)
			continue
		}
		op.err = store.Explain(err)
		if err == nil && op.finish != nil {
			op.finish.read(op.cmd)
		}
		op.done <- struct{}{}
	}
	c.mu.Lock()
	c.stats.Flushes++
	c.stats.Operations += int64(len(batch) - len(again))
	c.stats.Retries += int64(len(again))
	*trouble = store.Explain(refused)
	observe := c.observe
	c.mu.Unlock()
	if observe != nil {
		observe(len(batch), len(again), took)
	}
	if reload && scripts.Load(ctx, c.store.conn) == nil {
		return c.flush(ctx, again, trouble)
	}
	return again
}
