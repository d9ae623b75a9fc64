package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/run"
)

// HistoryRange is a part of one of the two histories of a function, from its
// newest entry on.
type HistoryRange struct {
	Function string
	// Dead is the history of the runs that did not succeed; else that of those
	// that did.
	Dead bool
	// Newest and Oldest bound the entries, as in XREVRANGE; "": no bound.
	Newest, Oldest string
	Count          int
}

func (r *HistoryRange) stream(k Keys) string {
	if r.Dead {
		return k.Dead(r.Function)
	}
	return k.Done(r.Function)
}

// HistoryEntry is a run in the history, not decoded yet: most of what is read
// to fill a page is not on it.
type HistoryEntry struct {
	// ID is the id of the entry: its time is when the run ended.
	ID       string
	Function string
	Dead     bool
	text     string
}

// Record decodes the entry.
func (e *HistoryEntry) Record() (run.Record, error) {
	return run.DecodeRecord(e.Function, e.ID, e.text)
}

// Text is the entry as it is stored: JSON. What is not in it is not in the
// Record either, which spares decoding it.
func (e *HistoryEntry) Text() string { return e.text }

// Histories reads parts of histories in one round trip, each with the newest
// first.
func (s *Store) Histories(ctx context.Context, ranges []HistoryRange) ([][]HistoryEntry, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.XMessageSliceCmd, len(ranges))
	for i := range ranges {
		r := &ranges[i]
		newest, oldest := r.Newest, r.Oldest
		if newest == "" {
			newest = "+"
		}
		if oldest == "" {
			oldest = "-"
		}
		cmds[i] = pipe.XRevRangeN(ctx, r.stream(s.keys), newest, oldest, int64(r.Count))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read the history: %w", Explain(err))
	}
	all := make([][]HistoryEntry, len(ranges))
	for i, cmd := range cmds {
		messages := cmd.Val()
		all[i] = make([]HistoryEntry, len(messages))
		for j, m := range messages {
			text, _ := m.Values["r"].(string)
			all[i][j] = HistoryEntry{ID: m.ID, Function: ranges[i].Function, Dead: ranges[i].Dead, text: text}
		}
	}
	return all, nil
}

// EventRange is a part of the stream of an event type, from its newest entry on.
type EventRange struct {
	Type string
	// Newest and Oldest bound the entries, as in XREVRANGE; "": no bound.
	Newest, Oldest string
	Count          int
}

// Peeked is a stream entry with only the beginning of its data.
type Peeked struct {
	Entry
	// Bytes is the size of the data, of which Field("data") is the beginning.
	Bytes int
}

// Peek reads parts of event streams in one round trip, each with the newest
// first, and keeps up to keep bytes of the data of each event.
func (s *Store) Peek(ctx context.Context, ranges []EventRange, keep int) ([][]Peeked, error) {
	streams := make([]streamRange, len(ranges))
	for i, r := range ranges {
		streams[i] = streamRange{s.keys.Stream(r.Type), r.Newest, r.Oldest, r.Count}
	}
	return s.peek(ctx, streams, keep)
}

type streamRange struct {
	stream, newest, oldest string
	count                  int
}

func (s *Store) peek(ctx context.Context, ranges []streamRange, keep int) ([][]Peeked, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	keys := make([]string, len(ranges))
	args := make([]any, 1, 1+3*len(ranges))
	args[0] = keep
	for i, r := range ranges {
		keys[i] = r.stream
		if r.newest == "" {
			r.newest = "+"
		}
		if r.oldest == "" {
			r.oldest = "-"
		}
		args = append(args, r.newest, r.oldest, r.count)
	}
	reply, err := s.run(ctx, "peek", keys, args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("read streams: %w", Explain(err))
	}
	all := make([][]Peeked, len(ranges))
	for i := range min(len(reply), len(all)) {
		rows, _ := reply[i].([]any)
		for _, row := range rows {
			if p, ok := s.peeked(ranges[i].stream, row); ok {
				all[i] = append(all[i], p)
			}
		}
	}
	return all, nil
}

func (s *Store) peeked(stream string, row any) (Peeked, bool) {
	values, _ := row.([]any)
	if len(values) == 0 {
		return Peeked{}, false
	}
	p := Peeked{Entry: Entry{Stream: stream, Type: s.keys.StreamType(stream), Deliveries: 1}}
	p.ID, _ = values[0].(string)
	p.Fields = fieldMap(values[1:])
	_, _ = fmt.Sscan(p.Field("bytes"), &p.Bytes) // our own script wrote it
	delete(p.Fields, "bytes")
	return p, p.ID != ""
}

// StreamInfo is what a stream of events holds.
type StreamInfo struct {
	Length int64
	// Newest is the id of the newest entry, "" when there is none.
	Newest string
}

// Streams returns what the streams of event types hold, in one round trip.
func (s *Store) Streams(ctx context.Context, eventTypes []string) ([]StreamInfo, error) {
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
		return nil, fmt.Errorf("read streams: %w", Explain(err))
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

// PlanTexts returns the versions of functions as they are stored, in one round
// trip: function to version in, function to spec out. What is not there (any
// more) is left out.
func (s *Store) PlanTexts(ctx context.Context, versions map[string]string) (map[string]string, error) {
	pipe := s.rdb.Pipeline()
	cmds := make(map[string]*redis.StringCmd, len(versions))
	for function, version := range versions {
		cmds[function] = pipe.HGet(ctx, s.keys.Plans(function), version)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read functions: %w", Explain(err))
	}
	texts := make(map[string]string, len(cmds))
	for function, cmd := range cmds {
		if cmd.Err() == nil {
			texts[function] = cmd.Val()
		}
	}
	return texts, nil
}

// PublishedTypes returns the event types that were ever published through a
// Store; events that somebody else appended are not counted.
func (s *Store) PublishedTypes(ctx context.Context) ([]string, error) {
	pipe := s.rdb.Pipeline()
	published, retained := pipe.SMembers(ctx, s.keys.Published()), pipe.HKeys(ctx, s.keys.Types())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("list event types: %w", Explain(err))
	}
	return append(published.Val(), retained.Val()...), nil
}

// isMissing reports whether a command failed since a stream, or the group on
// it, is not there (yet).
func isMissing(err error) bool {
	return err != nil && (strings.HasPrefix(err.Error(), "NOGROUP") || strings.Contains(err.Error(), "no such key"))
}
