package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// rawQueue holds the runs whose outputs wait for a group commit.
type rawQueue struct {
	mu      sync.Mutex
	waiting []*rawRun
	// some has a token when runs may be waiting.
	some chan struct{}
}

func newRawQueue() *rawQueue { return &rawQueue{some: make(chan struct{}, 1)} }

func (q *rawQueue) put(runs []*rawRun) {
	if len(runs) == 0 {
		return
	}
	q.mu.Lock()
	q.waiting = append(q.waiting, runs...)
	q.mu.Unlock()
	q.signal()
}

func (q *rawQueue) signal() {
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// take waits until something waits and moves up to rawBatch of it to batch,
// which it returns.
func (q *rawQueue) take(ctx context.Context, batch []*rawRun) ([]*rawRun, error) {
	for {
		q.mu.Lock()
		n := min(len(q.waiting), rawBatch)
		batch = append(batch[:0], q.waiting[:n]...)
		q.waiting = append(q.waiting[:0], q.waiting[n:]...)
		more := len(q.waiting) > 0
		q.mu.Unlock()
		if more {
			q.signal() // for the other flusher
		}
		if n > 0 {
			return batch, nil
		}
		select {
		case <-q.some:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// flush commits what waits, again and again: at once when idle, what has
// gathered meanwhile when busy.
func (l *rawLoop) flush(ctx context.Context) error {
	c := rawCommit{loop: l}
	var batch []*rawRun
	for {
		var err error
		if batch, err = l.commits.take(ctx, batch); err != nil {
			return err
		}
		if err := c.commit(ctx, batch); err != nil {
			return err
		}
		if err := c.advance(ctx); err != nil {
			return err
		}
	}
}

// rawCommit is one flusher's group commit, with buffers that it uses again.
type rawCommit struct {
	loop      *rawLoop
	midway    []*rawRun // steps that are not the last
	finishing []*rawRun
	results   []*redis.BoolCmd
	keys      []string
	args      []any
	refused   []int64
}

// commit makes the outputs in the batch durable: one HSETNX for a step in the
// middle, one script for all runs at their end, everything in one pipeline.
func (c *rawCommit) commit(ctx context.Context, batch []*rawRun) error {
	c.midway, c.finishing, c.results = c.midway[:0], c.finishing[:0], c.results[:0]
	pipe := c.loop.rdb.Pipeline()
	for _, r := range batch {
		if r.step == c.loop.Steps-1 {
			c.finishing = append(c.finishing, r)
			continue
		}
		c.midway = append(c.midway, r)
		c.results = append(c.results, pipe.HSetNX(ctx, rawJournal+r.id, stepNames[r.step], r.output))
	}
	var finish *redis.Cmd
	if len(c.finishing) > 0 {
		finish = c.finish(ctx, pipe, c.finishing)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("commit %d steps: %w", len(batch), err)
	}
	for i, first := range c.results {
		if !first.Val() {
			return fmt.Errorf("run %s: step %s has a result already, though nobody else works here", c.midway[i].id, stepNames[c.midway[i].step])
		}
	}
	c.refused = c.refused[:0]
	if finish == nil {
		return nil
	}
	var err error
	if c.refused, err = finish.Int64Slice(); err != nil {
		return fmt.Errorf("finish %d runs: %w", len(c.finishing), err)
	}
	return nil
}

// finish adds the finish of the runs to the pipeline.
func (c *rawCommit) finish(ctx context.Context, pipe redis.Pipeliner, runs []*rawRun) *redis.Cmd {
	c.keys = append(c.keys[:0], rawEvents, rawHistory)
	c.args = append(c.args[:0], rawGroup, rawKeep)
	for _, r := range runs {
		if c.loop.Steps > 1 {
			c.keys = append(c.keys, rawJournal+r.id)
		}
		c.args = append(c.args, r.entry, r.id, r.output)
	}
	return pipe.EvalSha(ctx, c.loop.finishSHA, c.keys, c.args...)
}

// advance runs the next step of what was committed in the middle, and frees
// the slots of the finished.
func (c *rawCommit) advance(ctx context.Context) error {
	for _, r := range c.midway {
		r.step++
		r.perform()
	}
	c.loop.commits.put(c.midway)
	if len(c.finishing) == 0 {
		return nil
	}
	select { // first of all, so that the next read is under way
	case c.loop.freed <- len(c.finishing):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, i := range c.refused {
		c.finishing[i] = nil // another worker's
	}
	for _, r := range c.finishing {
		if r == nil {
			continue
		}
		if err := c.loop.board.finishedID(r.id); err != nil {
			return err
		}
	}
	return nil
}
