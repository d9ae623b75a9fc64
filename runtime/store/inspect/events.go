package inspect

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// EventRange is a part of the stream of an event type, from its newest entry on.
type EventRange struct {
	Type string
	// Newest and Oldest bound the entries, as in XREVRANGE; "": no bound.
	Newest, Oldest string
	Count          int
}

// Peeked is a stream entry with only the beginning of its data.
type Peeked struct {
	store.Entry
	// Bytes is the size of the data, of which Field("data") is the beginning.
	Bytes int
}

// Peek reads parts of event streams in one round trip, each with the newest
// first, and keeps up to keep bytes of the data of each event.
func (s *Inspector) Peek(ctx context.Context, ranges []EventRange, keep int) ([][]Peeked, error) {
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

func (s *Inspector) peek(ctx context.Context, ranges []streamRange, keep int) ([][]Peeked, error) {
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
		return nil, fmt.Errorf("read streams: %w", store.Explain(err))
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

func (s *Inspector) peeked(stream string, row any) (Peeked, bool) {
	values, _ := row.([]any)
	if len(values) == 0 {
		return Peeked{}, false
	}
	id, _ := values[0].(string)
	p := Peeked{Entry: s.keys.Entry(stream, id, store.EntryFields(values[1:]))}
	_, _ = fmt.Sscan(p.Field("bytes"), &p.Bytes) // our own script wrote it
	delete(p.Fields, "bytes")
	return p, p.ID != ""
}

// Locate returns the stream entry of an event, nil when its stream does not
// have it (any more).
func (s *Inspector) Locate(ctx context.Context, eventType, id string) (*store.Entry, error) {
	stream := s.keys.Stream(eventType)
	to := "+"
	var from string
	known, err := s.rdb.Get(ctx, s.keys.EventID(eventType, id)).Result()
	switch {
	case err == nil:
		from, to = known, known
	case store.FaultOf(err) != store.Absent:
		return nil, fmt.Errorf("look up event %s: %w", id, store.Explain(err))
	default:
		at, ok := event.IDTime(id)
		if !ok {
			return nil, nil
		}
		// The id of an event that a run sent has the time of the run, which is
		// a little before that of the entry.
		from = strconv.FormatInt(at.UnixMilli(), 10)
	}
	const most = 1000
	messages, err := s.rdb.XRangeN(ctx, stream, from, to, most).Result()
	if err != nil {
		return nil, fmt.Errorf("look up event %s: %w", id, store.Explain(err))
	}
	for _, m := range messages {
		entry := s.keys.Entry(stream, m.ID, m.Values)
		if e, _ := entry.Event(); e.ID == id { // a malformed one has an id too
			return &entry, nil
		}
	}
	return nil, nil
}

// Delivery is how far a function is with a stream entry.
type Delivery int

const (
	// Unread means that no runner was given the entry.
	Unread Delivery = iota
	// Pending means that a runner has it.
	Pending
	// Acknowledged means that it is done with, or its run is parked.
	Acknowledged
)

// Delivery says how far a function that reads an event type is with an entry.
func (s *Inspector) Delivery(ctx context.Context, function, eventType, entry string) (Delivery, error) {
	groups, err := s.Groups(ctx, eventType)
	if err != nil {
		return Unread, fmt.Errorf("look up entry %s for %s: %w", entry, function, err)
	}
	for _, g := range groups {
		if g.Name != function || store.CompareEntries(g.LastDeliveredID, entry) < 0 {
			continue
		}
		pending, err := s.rdb.XPendingExt(ctx, &redis.XPendingExtArgs{
			Stream: s.keys.Stream(eventType), Group: function, Start: entry, End: entry, Count: 1,
		}).Result()
		if err != nil {
			return Unread, fmt.Errorf("look up entry %s for %s: %w", entry, function, store.Explain(err))
		}
		if len(pending) > 0 {
			return Pending, nil
		}
		return Acknowledged, nil
	}
	return Unread, nil
}
