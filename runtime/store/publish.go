package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
)

// seedTTL is how long the seed of a batch is remembered: longer than a client
// repeats a request.
const seedTTL = 10 * time.Minute

// Batch is what a request publishes: all of it, or nothing.
type Batch struct {
	Events []*event.Event
	// Seed stands for the request: of batches with one seed, within ten minutes
	// only the first is published, and the others get its ids. May be empty.
	Seed string
	// Err says why the batch was not published; Accept sets it. When it is none
	// of an answer of Redis, the batch may have been published all the same.
	Err error
}

// EventIDTTL is how long the id of an event is remembered.
const EventIDTTL = 24 * time.Hour

// Publish appends events to the streams of their types. When it returns, Redis
// has them. It sets the id of events that have none, and Time. Of events of
// one type with one id, within 24 hours only the first is kept; the others
// count as published.
func (c *Conn) Publish(ctx context.Context, events ...*event.Event) error {
	batches := make([]*Batch, len(events))
	for i := range events {
		batches[i] = &Batch{Events: events[i : i+1]}
	}
	c.Accept(ctx, batches...)
	for _, b := range batches {
		if b.Err != nil {
			return b.Err
		}
	}
	return nil
}

// Accept publishes batches in one round trip. When it returns, Redis has those
// whose Err is nil; their events have an id and a time. Of events of one type
// with one id, within 24 hours only the first is kept; the others count as
// published.
func (c *Conn) Accept(ctx context.Context, batches ...*Batch) {
	missing := c.accept(ctx, batches)
	if len(missing) == 0 {
		return
	}
	if err := scripts.Load(ctx, c); err != nil {
		for _, b := range missing {
			b.Err = err
		}
		return
	}
	c.accept(ctx, missing)
}

// accept returns the batches that failed because Redis does not have the
// script, which happens once after its start.
func (c *Conn) accept(ctx context.Context, batches []*Batch) (missing []*Batch) {
	pipe := c.rdb.Pipeline()
	cmds := make([]redis.Cmder, len(batches))
	var fresh []any
	for i, b := range batches {
		cmds[i] = c.queueBatch(ctx, pipe, b)
		for _, t := range c.unheardOf(b.Events) {
			if !slices.Contains(fresh, t) {
				fresh = append(fresh, t)
			}
		}
	}
	noted := &redis.IntCmd{}
	if len(fresh) > 0 {
		noted = pipe.SAdd(ctx, c.keys.Published(), fresh...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	if noted.Err() == nil {
		for _, t := range fresh {
			c.published.Store(t, true)
		}
	}
	for i, b := range batches {
		err := b.settle(cmds[i])
		b.Err = nil
		switch {
		case FaultOf(err) == NoScript:
			missing = append(missing, b)
			b.Err = err
		case err != nil:
			b.Err = fmt.Errorf("publish %d events: %w", len(b.Events), Explain(err))
		}
	}
	return missing
}

func (c *Conn) queueBatch(ctx context.Context, pipe redis.Pipeliner, b *Batch) redis.Cmder {
	if e := b.Events[0]; len(b.Events) == 1 && e.ID == "" && b.Seed == "" {
		return pipe.XAdd(ctx, &redis.XAddArgs{Stream: c.keys.Stream(e.Type), Values: e.Fields()})
	}
	keys := make([]string, 0, 1+2*len(b.Events))
	args := make([]any, 0, 2+5*len(b.Events))
	if b.Seed == "" {
		args = append(args, 0)
	} else {
		keys = append(keys, c.keys.Seed(b.Seed))
		args = append(args, seedTTL.Milliseconds())
	}
	args = append(args, EventIDTTL.Milliseconds())
	for _, e := range b.Events {
		fields := e.Fields()
		keys = append(keys, c.keys.Stream(e.Type))
		if e.ID == "" {
			args = append(args, len(fields))
		} else {
			keys = append(keys, c.keys.EventID(e.Type, e.ID))
			args = append(args, -len(fields))
		}
		args = append(args, fields...)
	}
	return scripts.Queue(ctx, pipe, "accept", keys, args...)
}

// settle reads the answer for a batch.
func (b *Batch) settle(cmd redis.Cmder) error {
	if err := cmd.Err(); err != nil {
		return err
	}
	var entries []string
	switch cmd := cmd.(type) {
	case *redis.StringCmd:
		entries = []string{cmd.Val()}
	case *redis.Cmd:
		var err error
		if entries, err = cmd.StringSlice(); err != nil {
			return err
		}
	}
	if len(entries) != len(b.Events) {
		return errors.New("another request had the same seed, and another number of events")
	}
	for i, e := range b.Events {
		e.Time = event.EntryTime(entries[i])
		if e.ID == "" {
			e.ID = event.EntryID(e.Type, entries[i])
		}
	}
	return nil
}

// unheardOf returns the types of events of which this Conn has published none
// before. They are noted in Redis once, so that people can look at the events
// of a type that nobody declared and nobody reads.
func (c *Conn) unheardOf(events []*event.Event) []any {
	var fresh []any
	for _, e := range events {
		if _, known := c.published.Load(e.Type); !known && !slices.Contains(fresh, any(e.Type)) {
			fresh = append(fresh, e.Type)
		}
	}
	return fresh
}
