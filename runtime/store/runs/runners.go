package runs

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

// Beat is what a runner learns with a heartbeat.
type Beat struct {
	// Fenced: the lease had run out. The runner must drop its runs and go on
	// under another name.
	Fenced  bool
	Now     time.Time // the server's clock
	NextDue time.Time // the next timer; zero: none
	Alive   int       // runners of the function
	Rank    int       // own place among them, from 0
	Queues  int       // values with queued runs
	// WaitPaths counts what runs of any version wait on.
	WaitPaths int
	// Reads counts the event types that any version has read.
	Reads int
	// Lacking counts the runs that wait for code that no runner had.
	Lacking int
	Dead    []string // runners whose lease ran out
}

// Beat says that a runner lives, and that others may take its runs when it is
// silent for longer than lease.
func (s *Store) Beat(ctx context.Context, function, runner string, lease time.Duration, first bool) (Beat, error) {
	k := s.keys
	reply, err := s.run(ctx, "beat", []string{k.Runners(function), k.Leases(function), k.Timers(function), k.Queued(function), k.Waits(function), k.Reads(function), k.Lacking(function)},
		runner, lease.Milliseconds(), store.Flag(first)).Slice()
	if err != nil {
		return Beat{}, fmt.Errorf("heartbeat of %s: %w", runner, store.Explain(err))
	}
	const fields = 9
	if len(reply) < fields {
		return Beat{}, fmt.Errorf("heartbeat of %s: short answer %v", runner, reply)
	}
	n := func(i int) int64 { v, _ := reply[i].(int64); return v }
	b := Beat{Fenced: n(0) == 1, Now: time.UnixMilli(n(1)), Alive: int(n(3)), Rank: int(n(4)), Queues: int(n(5)), WaitPaths: int(n(6)), Reads: int(n(7)), Lacking: int(n(8))}
	if n(2) >= 0 {
		b.NextDue = time.UnixMilli(n(2))
	}
	for _, name := range reply[fields:] {
		if text, ok := name.(string); ok {
			b.Dead = append(b.Dead, text)
		}
	}
	return b, nil
}

// Claim says which entries of a dead runner to take over.
type Claim struct {
	Function, Runner, Dead string
	Stream                 string
	After                  string // the entry after which to look; "": all
	Lease                  time.Duration
	Most                   int
	// Often is from how many deliveries on an entry is a suspect, that may kill its
	// runner; 0: none is. Of suspects at most Suspects are taken.
	Often    int64
	Suspects int
}

// Claim takes over entries of a dead runner; of a living one it takes none. What
// the caller has itself it is told, and that is no delivery. An entry without
// fields was deleted from its stream; it stays pending for the dead runner until
// it is acknowledged.
func (s *Store) Claim(ctx context.Context, c Claim) ([]store.Entry, error) {
	start := "-"
	if c.After != "" {
		start = "(" + c.After
	}
	stream := c.Stream
	keys := []string{s.keys.Runners(c.Function), s.keys.Leases(c.Function), stream}
	reply, err := s.run(ctx, "claim", keys, c.Function, c.Runner, c.Dead, c.Lease.Milliseconds(), c.Most, start, c.Often, c.Suspects).Slice()
	if err != nil {
		return nil, fmt.Errorf("claim entries of runner %s: %w", c.Dead, store.Explain(err))
	}
	all := make([]store.Entry, 0, len(reply))
	for _, item := range reply {
		row, ok := item.([]any)
		if !ok || len(row) < 2 {
			continue
		}
		id, _ := row[0].(string)
		e := s.keys.Entry(stream, id, nil)
		e.Deliveries, _ = row[1].(int64)
		if len(row) > 2 {
			e.Fields = store.EntryFields(row[2])
		}
		all = append(all, e)
	}
	return all, nil
}

// Forget removes a runner for which nothing is pending, and says whether it did.
func (s *Store) Forget(ctx context.Context, function, runner string, streams []string) (bool, error) {
	n, err := s.run(ctx, "forget", append([]string{s.keys.Runners(function), s.keys.Leases(function)}, streams...), function, runner).Int()
	if err != nil {
		return false, fmt.Errorf("remove runner %s: %w", runner, store.Explain(err))
	}
	return n == 1, nil
}

// leftFor is how long it is remembered that a runner left: longer than a reader
// may be away.
const leftFor = time.Minute

// TellLeft tells those who wait for a share that a runner has left, and given back
// what it held.
func (s *Store) TellLeft(ctx context.Context, function, runner string) error {
	key := s.keys.Left(function)
	pipe := s.rdb.Pipeline()
	pipe.XAdd(ctx, &redis.XAddArgs{Stream: key, MaxLen: 1, Values: []string{"runner", runner}})
	pipe.PExpire(ctx, key, leftFor)
	_, err := pipe.Exec(ctx)
	return store.Explain(err)
}

// Expire makes a runner count as dead at once: it has left something behind.
func (s *Store) Expire(ctx context.Context, function, runner string) error {
	return store.Explain(s.rdb.ZAdd(ctx, s.keys.Runners(function), redis.Z{Score: 0, Member: runner}).Err())
}

// AdoptStrays makes consumers that never had a heartbeat known as dead
// runners, so that what is pending for them is found.
func (s *Store) AdoptStrays(ctx context.Context, function string, streams []string) error {
	for _, stream := range streams {
		consumers, err := s.rdb.XInfoConsumers(ctx, stream, function).Result()
		if store.FaultOf(err) == store.NoGroup {
			continue // the function does not read it any more
		}
		if err != nil {
			return fmt.Errorf("list consumers of %s: %w", stream, store.Explain(err))
		}
		for _, c := range consumers {
			if err := s.rdb.ZAddNX(ctx, s.keys.Runners(function), redis.Z{Score: 0, Member: c.Name}).Err(); err != nil {
				return store.Explain(err)
			}
		}
	}
	return nil
}
