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
type StreamRef struct{ Namespace, Type string }

// StreamState is a stream in numbers.
type StreamState struct {
	Length int64
	// Oldest and Newest are when the first and the last event were published;
	// zero when there is none.
	Oldest, Newest time.Time
	Bytes          int64
}

// SurveyStreams reads the state of streams in one round trip.
func (s *Inspector) SurveyStreams(ctx context.Context, refs []StreamRef) ([]StreamState, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	infos, sizes := make([]*redis.XInfoStreamCmd, len(refs)), make([]*redis.IntCmd, len(refs))
	for i, ref := range refs {
		stream := store.NewKeys(ref.Namespace).Stream(ref.Type)
		infos[i], sizes[i] = pipe.XInfoStream(ctx, stream), pipe.MemoryUsage(ctx, stream)
	}
	if _, err := pipe.Exec(ctx); store.FaultOf(err).General() {
		return nil, fmt.Errorf("look at %d streams: %w", len(refs), store.Explain(err))
	}
	all := make([]StreamState, len(refs))
	for i := range refs {
		info, err := infos[i].Result()
		if err != nil {
			continue // there is no such stream: nothing was published
		}
		all[i] = StreamState{Length: info.Length, Bytes: sizes[i].Val()}
		if info.Length > 0 {
			all[i].Oldest, all[i].Newest = event.EntryTime(info.FirstEntry.ID), event.EntryTime(info.LastEntry.ID)
		}
	}
	return all, nil
}
