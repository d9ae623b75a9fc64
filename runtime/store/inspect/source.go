package inspect

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// Source returns the stream entry that started, or is to start, a run; nil when
// it is not there (any more). An entry of the inbox is there only until the run
// ends or is parked, one of an event stream until it is trimmed.
func (s *Inspector) Source(ctx context.Context, function, runID string) (*store.Entry, error) {
	at, ok := event.IDTime(runID)
	if !ok {
		return nil, nil
	}
	types, err := s.rdb.SMembers(ctx, s.keys.Reads(function)).Result()
	if err != nil {
		return nil, fmt.Errorf("look up what %s reads: %w", function, store.Explain(err))
	}
	// The id of a run that an event starts has the time of its entry.
	ms := strconv.FormatInt(at.UnixMilli(), 10)
	for _, t := range types {
		stream := s.keys.Stream(t)
		messages, err := s.rdb.XRange(ctx, stream, ms, ms).Result()
		if err != nil {
			return nil, fmt.Errorf("look up run %s in %s: %w", runID, stream, store.Explain(err))
		}
		for _, m := range messages {
			if store.RunID(function, t, m.ID) == runID {
				entry := s.keys.Entry(stream, m.ID, m.Values)
				return &entry, nil
			}
		}
	}
	return s.start(ctx, function, runID, at)
}

// start returns the entry of the inbox that is to start a run. It may be much
// later than the run's id, where a cron tick was missed, and by a difference of
// clocks earlier.
func (s *Inspector) start(ctx context.Context, function, runID string, at time.Time) (*store.Entry, error) {
	const page = 500
	inbox := s.keys.Inbox(function)
	from := strconv.FormatInt(at.Add(-time.Minute).UnixMilli(), 10)
	for {
		messages, err := s.rdb.XRangeN(ctx, inbox, from, "+", page).Result()
		if err != nil {
			return nil, fmt.Errorf("look up run %s in %s: %w", runID, inbox, store.Explain(err))
		}
		for _, m := range messages {
			if e := s.keys.Entry(inbox, m.ID, m.Values); e.Field("start") == runID {
				return &e, nil
			}
		}
		if len(messages) < page {
			return nil, nil
		}
		from = "(" + messages[len(messages)-1].ID
	}
}
