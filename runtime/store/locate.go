package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
)

// RunID returns the id of the run that a stream entry starts in a function.
func RunID(function, eventType, entry string) string {
	return event.DerivedID(event.EntryTime(entry), function, eventType, entry)
}

// Locate returns the stream entry of an event, nil when its stream does not
// have it (any more).
func (s *Store) Locate(ctx context.Context, eventType, id string) (*Entry, error) {
	stream := s.keys.Stream(eventType)
	to := "+"
	var from string
	known, err := s.rdb.Get(ctx, s.keys.EventID(eventType, id)).Result()
	switch {
	case err == nil:
		from, to = known, known
	case !errors.Is(err, redis.Nil):
		return nil, fmt.Errorf("look up event %s: %w", id, Explain(err))
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
		return nil, fmt.Errorf("look up event %s: %w", id, Explain(err))
	}
	for _, m := range messages {
		entry := Entry{Stream: stream, Type: eventType, ID: m.ID, Fields: m.Values, Deliveries: 1}
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
func (s *Store) Delivery(ctx context.Context, function, eventType, entry string) (Delivery, error) {
	groups, err := s.Groups(ctx, eventType)
	if err != nil {
		return Unread, fmt.Errorf("look up entry %s for %s: %w", entry, function, err)
	}
	for _, g := range groups {
		if g.Name != function || CompareEntries(g.LastDeliveredID, entry) < 0 {
			continue
		}
		pending, err := s.rdb.XPendingExt(ctx, &redis.XPendingExtArgs{
			Stream: s.keys.Stream(eventType), Group: function, Start: entry, End: entry, Count: 1,
		}).Result()
		if err != nil {
			return Unread, fmt.Errorf("look up entry %s for %s: %w", entry, function, Explain(err))
		}
		if len(pending) > 0 {
			return Pending, nil
		}
		return Acknowledged, nil
	}
	return Unread, nil
}

// InFlight returns up to most runs of a function that its runners have now.
func (s *Store) InFlight(ctx context.Context, function string, eventTypes []string, most int) ([]Record, error) {
	streams := []string{s.keys.Inbox(function)}
	for _, t := range eventTypes {
		streams = append(streams, s.keys.Stream(t))
	}
	var all []Record
	for _, stream := range streams {
		pending, err := s.rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: stream, Group: function, Start: "-", End: "+", Count: int64(most)}).Result()
		if err != nil {
			if strings.HasPrefix(err.Error(), "NOGROUP") {
				continue
			}
			return nil, fmt.Errorf("list running runs of %s: %w", function, Explain(err))
		}
		for _, p := range pending {
			r, err := s.inFlight(ctx, function, stream, p.ID)
			if err != nil {
				return nil, err
			}
			if r != nil {
				all = append(all, *r)
			}
		}
	}
	return all[:min(most, len(all))], nil
}

func (s *Store) inFlight(ctx context.Context, function, stream, id string) (*Record, error) {
	messages, err := s.rdb.XRange(ctx, stream, id, id).Result()
	if err != nil {
		return nil, fmt.Errorf("list running runs of %s: %w", function, Explain(err))
	}
	if len(messages) == 0 {
		return nil, nil
	}
	entry := Entry{Stream: stream, Type: s.keys.StreamType(stream), ID: id, Fields: messages[0].Values}
	r := Record{Function: function, Status: Running, StartedAt: event.EntryTime(id)}
	if entry.Type == "" {
		r.ID = entry.Field("run") + entry.Field("start") // an entry has one of them
	} else {
		e, _ := entry.Event() // a malformed one is about to be rejected
		r.ID, r.EventID, r.EventType = RunID(function, entry.Type, id), e.ID, entry.Type
	}
	journal, err := s.Unended(ctx, function, r.ID)
	if err != nil || journal == nil {
		return &r, err
	}
	journal.Status = Running
	if journal.EventID == "" {
		journal.EventID, journal.EventType = r.EventID, r.EventType
	}
	return journal, nil
}

// unread counts the entries of a stream that a group was not given yet. The
// server's count is missing after some deletions, and the Redis that is built
// into `wildout dev` counts the whole stream; both say so by not knowing how
// many entries were read.
func (s *Store) unread(ctx context.Context, stream string, g redis.XInfoGroup) (int64, error) {
	if g.Lag == 0 || g.Lag > 0 && g.EntriesRead > 0 {
		return g.Lag, nil
	}
	const most = 1000 // enough to know that there is much
	entries, err := s.rdb.XRangeN(ctx, stream, "("+g.LastDeliveredID, "+", most).Result()
	if err != nil {
		return 0, fmt.Errorf("count what %s has not read of %s: %w", g.Name, stream, Explain(err))
	}
	return int64(len(entries)), nil
}
