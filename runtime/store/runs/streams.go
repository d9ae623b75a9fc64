package runs

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

// EnsureGroups makes the function's consumer groups that are not there; see
// upkeep.
func (s *Store) EnsureGroups(ctx context.Context, function string, origin store.Origin, eventTypes ...string) error {
	return s.upkeep.EnsureGroups(ctx, function, origin, eventTypes...)
}

// Reads returns the event types that any version of a function has read, as
// EnsureGroups recorded them: entries of those may be pending still.
func (s *Store) Reads(ctx context.Context, function string) ([]string, error) {
	all, err := s.rdb.SMembers(ctx, s.keys.Reads(function)).Result()
	if err != nil {
		return nil, fmt.Errorf("look up what %s has read: %w", function, store.Explain(err))
	}
	return all, nil
}

// Reader reads new entries for one runner. It has a connection of its own, so
// that Close ends a read that blocks.
type Reader struct {
	store    *Store
	rdb      redis.UniversalClient
	function string
	consumer string
	origin   store.Origin
}

// NewReader returns a Reader for the runner of that name. Where it finds that a
// group is gone it makes it anew, at the origin.
func (s *Store) NewReader(function, consumer string, origin store.Origin) *Reader {
	return &Reader{store: s, rdb: s.conn.Dedicated(), function: function, consumer: consumer, origin: origin}
}

// Close ends the reader and a read that blocks.
func (r *Reader) Close() error { return r.rdb.Close() }

// Read returns up to count entries of each stream. With block above 0 it waits
// that long, less than the read time-out of 10 s, for the first one. No entry is not an error.
func (r *Reader) Read(ctx context.Context, streams []string, count int, block time.Duration) ([]store.Entry, error) {
	args := make([]string, 0, 2*len(streams))
	args = append(args, streams...)
	for range streams {
		args = append(args, ">")
	}
	if block <= 0 {
		block = -1 // do not wait
	}
	// The second command is carried out after the first has read: a run whose end
	// was asked for before it was read is never begun, at no round trip more.
	pipe := r.rdb.Pipeline()
	read := pipe.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: r.function, Consumer: r.consumer, Streams: args, Count: int64(count), Block: block,
	})
	cancels := pipe.HLen(ctx, r.store.keys.Cancels(r.function))
	_, _ = pipe.Exec(ctx) // each command has its own error
	answer, err := read.Result()
	if store.FaultOf(err) == store.Absent {
		return nil, nil
	}
	if err != nil {
		if fault := store.FaultOf(err); fault == store.NoGroup || fault == store.Unblocked {
			// A stream was deleted under the reader: it begins anew.
			return nil, r.store.EnsureGroups(ctx, r.function, r.origin, r.typesOf(streams)...)
		}
		return nil, err
	}
	var all []store.Entry
	for _, stream := range answer {
		for _, m := range stream.Messages {
			e := r.store.keys.Entry(stream.Stream, m.ID, m.Values)
			e.Suspect = cancels.Err() != nil || cancels.Val() > 0
			all = append(all, e)
		}
	}
	return all, nil
}

// typesOf are the event types of streams, without the inbox.
func (r *Reader) typesOf(streams []string) []string {
	var types []string
	for _, stream := range streams {
		if t := r.store.keys.StreamType(stream); t != "" {
			types = append(types, t)
		}
	}
	return types
}

// After returns up to count entries of each stream that come after a position,
// for nobody: they are not acknowledged, and others get them too. It waits that
// long for the first one.
func (r *Reader) After(ctx context.Context, positions map[string]string, count int, block time.Duration) ([]store.Entry, error) {
	streams := make([]string, 0, 2*len(positions))
	for stream := range positions {
		streams = append(streams, stream)
	}
	for _, stream := range streams[:len(positions):len(positions)] {
		streams = append(streams, positions[stream])
	}
	answer, err := r.rdb.XRead(ctx, &redis.XReadArgs{Streams: streams, Count: int64(count), Block: block}).Result()
	if store.FaultOf(err) == store.Absent {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look ahead in streams: %w", store.Explain(err))
	}
	var all []store.Entry
	for _, stream := range answer {
		for _, m := range stream.Messages {
			all = append(all, r.store.keys.Entry(stream.Stream, m.ID, m.Values))
		}
	}
	return all, nil
}

// ReadUpTo returns the last entry of each stream that the function was given.
func (s *Store) ReadUpTo(ctx context.Context, function string, streams []string) (map[string]string, error) {
	pipe := s.rdb.Pipeline()
	cmds := make(map[string]*redis.XInfoGroupsCmd, len(streams))
	for _, stream := range streams {
		cmds[stream] = pipe.XInfoGroups(ctx, stream)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	read := make(map[string]string, len(streams))
	for stream, cmd := range cmds {
		if err := cmd.Err(); err != nil && store.FaultOf(err) != store.NoGroup {
			return nil, fmt.Errorf("look how far %s has read %s: %w", function, stream, store.Explain(err))
		}
		read[stream] = "0-0"
		for _, g := range cmd.Val() {
			if g.Name == function {
				read[stream] = g.LastDeliveredID
			}
		}
	}
	return read, nil
}

// Between returns up to count entries of the stream of an event type that come
// after one and not after another.
func (s *Store) Between(ctx context.Context, eventType, after, upTo string, count int) ([]store.Entry, error) {
	stream := s.keys.Stream(eventType)
	messages, err := s.rdb.XRangeN(ctx, stream, "("+after, upTo, int64(count)).Result()
	if err != nil {
		return nil, fmt.Errorf("look back in %s: %w", stream, store.Explain(err))
	}
	entries := make([]store.Entry, len(messages))
	for i, m := range messages {
		entries[i] = s.keys.Entry(stream, m.ID, m.Values)
	}
	return entries, nil
}
