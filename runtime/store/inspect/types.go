package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// StreamInfo is what a stream of events holds.
type StreamInfo struct {
	Length int64
	// Newest is the id of the newest entry, "" when there is none.
	Newest string
}

// Streams returns what the streams of event types hold, in one round trip.
func (s *Inspector) Streams(ctx context.Context, eventTypes []string) ([]StreamInfo, error) {
	all := make([]StreamInfo, len(eventTypes))
	if len(eventTypes) == 0 {
		return all, nil
	}
	pipe := s.rdb.Pipeline()
	lengths := make([]*redis.IntCmd, len(all))
	for i, t := range eventTypes {
		lengths[i] = pipe.XLen(ctx, s.keys.Stream(t))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read streams: %w", store.Explain(err))
	}
	ranges := make([]EventRange, len(all))
	for i, t := range eventTypes {
		all[i].Length = lengths[i].Val()
		ranges[i] = EventRange{Type: t, Count: 1}
	}
	heads, err := s.Peek(ctx, ranges, 0)
	if err != nil {
		return nil, err
	}
	for i, head := range heads {
		if len(head) > 0 {
			all[i].Newest = head[0].ID
		}
	}
	return all, nil
}

// PublishedTypes returns the event types that were ever published through a
// Store; events that somebody else appended are not counted.
func (s *Inspector) PublishedTypes(ctx context.Context) ([]string, error) {
	pipe := s.rdb.Pipeline()
	published, retained := pipe.SMembers(ctx, s.keys.Published()), pipe.HKeys(ctx, s.keys.Types())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("list event types: %w", store.Explain(err))
	}
	return append(published.Val(), retained.Val()...), nil
}

// StreamRef names the stream of an event type.
type StreamRef struct {
	Namespace, Type string
	// Before is until when events were to be kept: what still needs older ones is
	// told. Zero: that is not looked for.
	Before time.Time
}

// StreamState is a stream in numbers.
type StreamState struct {
	Length int64
	// Oldest and Newest are when the first and the last event were published;
	// zero when there is none.
	Oldest, Newest time.Time
	Bytes          int64
	// Holders are the groups that keep events from being removed.
	Holders []Holder
}

// Holder is a consumer group that keeps events longer than they were to be kept.
type Holder struct {
	Function string
	// Since is when the oldest event that it needs was published.
	Since time.Time
}

// SurveyStreams reads the state of streams in one round trip.
func (s *Inspector) SurveyStreams(ctx context.Context, refs []StreamRef) ([]StreamState, error) {
	type asked struct {
		StreamRef
		at int
	}
	all := make([]asked, len(refs))
	for i, ref := range refs {
		all[i] = asked{ref, i}
	}
	parts := inParts(all, func(a asked) string { return a.Namespace }, countsAtATime)
	cmds := make([]*redis.Cmd, len(parts))
	err := scripts.Pipelined(ctx, s.conn, func(pipe redis.Pipeliner) {
		for i, part := range parts {
			keys := make([]string, len(part))
			for n, a := range part {
				keys[n] = store.NewKeys(a.Namespace).Stream(a.Type)
			}
			cmds[i] = scripts.Queue(ctx, pipe, "ends", keys)
		}
	})
	if store.FaultOf(err).General() {
		return nil, fmt.Errorf("look at %d streams: %w", len(refs), store.Explain(err))
	}
	states := make([]StreamState, len(refs))
	for i, part := range parts {
		rows, err := cmds[i].Slice()
		if err != nil || len(rows) != len(part) {
			return nil, fmt.Errorf("look at stream %s and others: %w", part[0].Type, store.Explain(err))
		}
		for n, a := range part {
			states[a.at] = streamState(rows[n])
		}
	}
	return states, s.addHolders(ctx, refs, states)
}

// streamState reads a row of ends.lua.
func streamState(row any) (state StreamState) {
	values, _ := row.([]any)
	if len(values) < 4 {
		return state // there is no such stream: nothing was published
	}
	state.Length, _ = values[0].(int64)
	state.Bytes, _ = values[3].(int64)
	if oldest, _ := values[1].(string); oldest != "" {
		state.Oldest = event.EntryTime(oldest)
	}
	if newest, _ := values[2].(string); newest != "" {
		state.Newest = event.EntryTime(newest)
	}
	return state
}
