package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

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
