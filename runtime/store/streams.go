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

// eventIDTTL is how long the id of an event is remembered.
const eventIDTTL = 24 * time.Hour

// Publish appends events to the streams of their types. When it returns, Redis
// has them. It sets the id of events that have none, and Time. Of events of
// one type with one id, within 24 hours only the first is kept; the others
// count as published.
func (s *Store) Publish(ctx context.Context, events ...*event.Event) error {
	batches := make([]*Batch, len(events))
	for i := range events {
		batches[i] = &Batch{Events: events[i : i+1]}
	}
	s.Accept(ctx, batches...)
	for _, b := range batches {
		if b.Err != nil {
			return b.Err
		}
	}
	return nil
}

// unheardOf returns the types of events of which this Store has published none
// before. They are noted in Redis once, so that people can look at the events
// of a type that nobody declared and nobody reads.
func (s *Store) unheardOf(events []*event.Event) []any {
	var fresh []any
	for _, e := range events {
		if _, known := s.published.Load(e.Type); !known && !slices.Contains(fresh, any(e.Type)) {
			fresh = append(fresh, e.Type)
		}
	}
	return fresh
}

// Entry is a stream entry as it was delivered.
type Entry struct {
	Stream string
	Type   string // the event type; "" for an inbox
	ID     string
	// Fields is nil when the entry was trimmed before anyone read it.
	Fields     map[string]any
	Deliveries int64
	// Suspect says that when it was read, the end of some run of the function
	// had been asked for: it may be the one that this entry starts.
	Suspect bool
}

// Event reads the entry of an event stream. The error is *event.MalformedError.
func (e *Entry) Event() (event.Event, error) {
	if e.Fields == nil {
		return event.Event{Type: e.Type, ID: event.EntryID(e.Type, e.ID), Time: event.EntryTime(e.ID)},
			&event.MalformedError{Reason: "the entry was deleted from its stream before it was read"}
	}
	ev, err := event.Parse(e.Fields)
	ev.Type, ev.Time = e.Type, event.EntryTime(e.ID)
	if ev.ID == "" {
		ev.ID = event.EntryID(e.Type, e.ID)
	}
	return ev, err
}

// Field returns a field of an inbox entry.
func (e *Entry) Field(name string) string {
	text, _ := e.Fields[name].(string)
	return text
}

// EnsureGroup makes the stream and the function's consumer group on it, from
// the very first entry on.
func (s *Store) EnsureGroup(ctx context.Context, function string, streams ...string) error {
	for _, stream := range streams {
		err := s.rdb.XGroupCreateMkStream(ctx, stream, function, "0").Err()
		if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
			return fmt.Errorf("create group %s on %s: %w", function, stream, Explain(err))
		}
	}
	return nil
}

// NoteReads records the event types that a function reads and returns all that
// any version of it has read: entries of those may be pending still.
func (s *Store) NoteReads(ctx context.Context, function string, types []string) ([]string, error) {
	key := s.keys.Reads(function)
	if len(types) > 0 {
		if err := s.rdb.SAdd(ctx, key, types).Err(); err != nil {
			return nil, fmt.Errorf("record what %s reads: %w", function, Explain(err))
		}
	}
	all, err := s.rdb.SMembers(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("look up what %s has read: %w", function, Explain(err))
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
}

// NewReader returns a Reader for the runner of that name.
func (s *Store) NewReader(function, consumer string) *Reader {
	opts := *s.opts
	opts.PoolSize = 1
	r := &Reader{store: s, rdb: redis.NewUniversalClient(&opts), function: function, consumer: consumer}
	r.rdb.AddHook(s.traffic)
	return r
}

// Close ends the reader and a read that blocks.
func (r *Reader) Close() error { return r.rdb.Close() }

// Read returns up to count entries of each stream. With block above 0 it waits
// that long, less than the read time-out of 10 s, for the first one. No entry is not an error.
func (r *Reader) Read(ctx context.Context, streams []string, count int, block time.Duration) ([]Entry, error) {
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
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		if strings.HasPrefix(err.Error(), "NOGROUP") || strings.HasPrefix(err.Error(), "UNBLOCKED") {
			// A stream was deleted under the reader: it begins anew.
			return nil, r.store.EnsureGroup(ctx, r.function, streams...)
		}
		return nil, err
	}
	var all []Entry
	for _, stream := range answer {
		eventType := r.store.keys.StreamType(stream.Stream)
		for _, m := range stream.Messages {
			all = append(all, Entry{Stream: stream.Stream, Type: eventType, ID: m.ID, Fields: m.Values, Deliveries: 1,
				Suspect: cancels.Err() != nil || cancels.Val() > 0})
		}
	}
	return all, nil
}

// After returns up to count entries of each stream that come after a position,
// for nobody: they are not acknowledged, and others get them too. It waits that
// long for the first one.
func (r *Reader) After(ctx context.Context, positions map[string]string, count int, block time.Duration) ([]Entry, error) {
	streams := make([]string, 0, 2*len(positions))
	for stream := range positions {
		streams = append(streams, stream)
	}
	for _, stream := range streams[:len(positions):len(positions)] {
		streams = append(streams, positions[stream])
	}
	answer, err := r.rdb.XRead(ctx, &redis.XReadArgs{Streams: streams, Count: int64(count), Block: block}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look ahead in streams: %w", Explain(err))
	}
	var all []Entry
	for _, stream := range answer {
		for _, m := range stream.Messages {
			all = append(all, Entry{Stream: stream.Stream, Type: r.store.keys.StreamType(stream.Stream), ID: m.ID, Fields: m.Values, Deliveries: 1})
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
		if err := cmd.Err(); err != nil && !isMissing(err) {
			return nil, fmt.Errorf("look how far %s has read %s: %w", function, stream, Explain(err))
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

// Pending returns up to count entries of a stream that a runner was given and
// has not acknowledged, from after an entry ("0": the first) on.
func (s *Store) Pending(ctx context.Context, function, runner, stream, after string, count int) ([]Entry, error) {
	answer, err := s.rdb.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: function, Consumer: runner, Streams: []string{stream, after}, Count: int64(count), Block: -1,
	}).Result()
	if err != nil && strings.HasPrefix(err.Error(), "NOGROUP") {
		return nil, nil // the function does not read it any more
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("look up what runner %s was given of %s: %w", runner, stream, Explain(err))
	}
	var all []Entry
	for _, page := range answer {
		for _, m := range page.Messages {
			all = append(all, Entry{Stream: stream, Type: s.keys.StreamType(stream), ID: m.ID, Fields: m.Values, Deliveries: 1})
		}
	}
	return all, nil
}

// Between reads a stream from after one entry up to another, a page at a time,
// until each returns true.
func (s *Store) Between(ctx context.Context, eventType, after, upTo string, each func(Entry) (stop bool, err error)) error {
	const page = 200
	stream := s.keys.Stream(eventType)
	for {
		messages, err := s.rdb.XRangeN(ctx, stream, "("+after, upTo, page).Result()
		if err != nil {
			return fmt.Errorf("look back in %s: %w", stream, Explain(err))
		}
		for _, m := range messages {
			stop, err := each(Entry{Stream: stream, Type: eventType, ID: m.ID, Fields: m.Values, Deliveries: 1})
			if stop || err != nil {
				return err
			}
		}
		if len(messages) < page {
			return nil
		}
		after = messages[len(messages)-1].ID
	}
}
