package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// Accept publishes batches in one round trip. When it returns, Redis has those
// whose Err is nil; their events have an id and a time. Of events of one type
// with one id, within 24 hours only the first is kept; the others count as
// published.
func (s *Store) Accept(ctx context.Context, batches ...*Batch) {
	missing := s.accept(ctx, batches)
	if len(missing) == 0 {
		return
	}
	if err := s.load(ctx); err != nil {
		for _, b := range missing {
			b.Err = err
		}
		return
	}
	s.accept(ctx, missing)
}

// accept returns the batches that failed because Redis does not have the
// script, which happens once after its start.
func (s *Store) accept(ctx context.Context, batches []*Batch) (missing []*Batch) {
	pipe := s.rdb.Pipeline()
	cmds := make([]redis.Cmder, len(batches))
	var fresh []any
	for i, b := range batches {
		cmds[i] = s.queueBatch(ctx, pipe, b)
		for _, t := range s.unheardOf(b.Events) {
			if !slices.Contains(fresh, t) {
				fresh = append(fresh, t)
			}
		}
	}
	noted := &redis.IntCmd{}
	if len(fresh) > 0 {
		noted = pipe.SAdd(ctx, s.keys.Published(), fresh...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	if noted.Err() == nil {
		for _, t := range fresh {
			s.published.Store(t, true)
		}
	}
	for i, b := range batches {
		err := b.settle(cmds[i])
		b.Err = nil
		switch {
		case err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT"):
			missing = append(missing, b)
			b.Err = err
		case err != nil:
			b.Err = fmt.Errorf("publish %d events: %w", len(b.Events), Explain(err))
		}
	}
	return missing
}

func (s *Store) queueBatch(ctx context.Context, pipe redis.Pipeliner, b *Batch) redis.Cmder {
	if e := b.Events[0]; len(b.Events) == 1 && e.ID == "" && b.Seed == "" {
		return pipe.XAdd(ctx, &redis.XAddArgs{Stream: s.keys.Stream(e.Type), Values: e.Fields()})
	}
	keys := make([]string, 0, 1+2*len(b.Events))
	args := make([]any, 0, 2+5*len(b.Events))
	if b.Seed == "" {
		args = append(args, 0)
	} else {
		keys = append(keys, s.keys.Seed(b.Seed))
		args = append(args, seedTTL.Milliseconds())
	}
	args = append(args, eventIDTTL.Milliseconds())
	for _, e := range b.Events {
		fields := e.Fields()
		keys = append(keys, s.keys.Stream(e.Type))
		if e.ID == "" {
			args = append(args, len(fields))
		} else {
			keys = append(keys, s.keys.EventID(e.Type, e.ID))
			args = append(args, -len(fields))
		}
		args = append(args, fields...)
	}
	return s.scripts["accept"].EvalSha(ctx, pipe, keys, args...)
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

// Memory is how full Redis is, in bytes.
type Memory struct {
	Used int64
	// Max is the limit; 0: there is none.
	Max int64
	// Policy is what Redis does at the limit; noeviction refuses writes, all
	// others lose events.
	Policy string
}

// Memory asks Redis how full it is.
func (s *Store) Memory(ctx context.Context) (Memory, error) {
	client := s.rdb
	if cluster, ok := s.rdb.(*redis.ClusterClient); ok {
		// All keys of a namespace are on one node.
		node, err := cluster.MasterForKey(ctx, s.keys.Types())
		if err != nil {
			return Memory{}, fmt.Errorf("ask Redis how full it is: %w", Explain(err))
		}
		client = node
	}
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return Memory{}, fmt.Errorf("ask Redis how full it is: %w", Explain(err))
	}
	return parseMemory(text), nil
}

// parseMemory reads the section memory of INFO. What is missing stays 0.
func parseMemory(text string) (m Memory) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		number := func() int64 {
			var n int64
			_, _ = fmt.Sscan(value, &n) // no number: 0
			return n
		}
		switch name {
		case "used_memory":
			m.Used += number()
		case "mem_not_counted_for_evict": // buffers, which the limit does not count
			m.Used -= number()
		case "maxmemory":
			m.Max = number()
		case "maxmemory_policy":
			m.Policy = value
		}
	}
	return m
}

// SenderRate is the rate of a sender, over all gateways.
type SenderRate struct {
	Sender   string
	Interval time.Duration // between two events
	Burst    int
}

// TakeEvents takes up to n events of a sender's rate, and returns how many it
// got and the wait until there is another.
func (s *Store) TakeEvents(ctx context.Context, r SenderRate, n int) (got int, wait time.Duration, err error) {
	return s.senderRate(ctx, r, n, "take")
}

// ReturnEvents gives back n events that were taken and not used.
func (s *Store) ReturnEvents(ctx context.Context, r SenderRate, n int) error {
	_, _, err := s.senderRate(ctx, r, n, "return")
	return err
}

func (s *Store) senderRate(ctx context.Context, r SenderRate, n int, mode string) (int, time.Duration, error) {
	reply, err := s.run(ctx, "rate", []string{s.keys.SenderRate(r.Sender)}, max(1, r.Interval.Microseconds()), r.Burst, n, mode).Int64Slice()
	if err != nil || len(reply) != 2 {
		return 0, 0, fmt.Errorf("rate of sender %s: %w", r.Sender, Explain(err))
	}
	return int(reply[0]), time.Duration(reply[1]) * time.Millisecond, nil
}
