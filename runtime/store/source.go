package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// source returns the stream entry that started, or is to start, a run; nil when
// it is not there (any more). An entry of the inbox is there only until the run
// ends or is parked, one of an event stream until it is trimmed.
func (s *Store) source(ctx context.Context, function, runID string) (*Entry, error) {
	at, ok := event.IDTime(runID)
	if !ok {
		return nil, nil
	}
	types, err := s.rdb.SMembers(ctx, s.keys.Reads(function)).Result()
	if err != nil {
		return nil, fmt.Errorf("look up what %s reads: %w", function, Explain(err))
	}
	// The id of a run that an event starts has the time of its entry.
	ms := strconv.FormatInt(at.UnixMilli(), 10)
	for _, t := range types {
		stream := s.keys.Stream(t)
		messages, err := s.rdb.XRange(ctx, stream, ms, ms).Result()
		if err != nil {
			return nil, fmt.Errorf("look up run %s in %s: %w", runID, stream, Explain(err))
		}
		for _, m := range messages {
			if RunID(function, t, m.ID) == runID {
				return &Entry{Stream: stream, Type: t, ID: m.ID, Fields: m.Values, Deliveries: 1}, nil
			}
		}
	}
	return s.start(ctx, function, runID, at)
}

// start returns the entry of the inbox that is to start a run. It may be much
// later than the run's id, where a cron tick was missed, and by a difference of
// clocks earlier.
func (s *Store) start(ctx context.Context, function, runID string, at time.Time) (*Entry, error) {
	const page = 500
	inbox := s.keys.Inbox(function)
	from := strconv.FormatInt(at.Add(-time.Minute).UnixMilli(), 10)
	for {
		messages, err := s.rdb.XRangeN(ctx, inbox, from, "+", page).Result()
		if err != nil {
			return nil, fmt.Errorf("look up run %s in %s: %w", runID, inbox, Explain(err))
		}
		for _, m := range messages {
			if e := (Entry{Stream: inbox, ID: m.ID, Fields: m.Values, Deliveries: 1}); e.Field("start") == runID {
				return &e, nil
			}
		}
		if len(messages) < page {
			return nil, nil
		}
		from = "(" + messages[len(messages)-1].ID
	}
}

// starts returns the event of an entry that starts a run.
func (e *Entry) starts() (*event.Event, error) {
	if e.Type != "" {
		ev, err := e.Event()
		return &ev, err
	}
	var ev event.Event
	if err := json.Unmarshal([]byte(e.Field("event")), &ev); err != nil {
		return nil, fmt.Errorf("entry %s of %s: field event: %w", e.ID, e.Stream, err)
	}
	return &ev, nil
}

// ErrNoEvent says that the event of a run is not kept any more.
var ErrNoEvent = errors.New("the event of the run is not kept any more (its stream was trimmed: see the retention of its event type)")

// eventOf returns the event that started a run. The error is ErrNoRun or
// ErrNoEvent, or one of Redis.
func (s *Store) eventOf(ctx context.Context, function, runID string) (*event.Event, error) {
	// In this order: that of the places through which a run passes.
	entry, err := s.source(ctx, function, runID)
	if err != nil {
		return nil, err
	}
	open, err := s.Unended(ctx, function, runID)
	if err != nil {
		return nil, err
	}
	ended, err := s.Ended(ctx, function, runID)
	if err != nil {
		return nil, err
	}
	known := ended
	if known == nil {
		known = open
	}
	if known == nil && entry == nil {
		return nil, ErrNoRun
	}
	if known == nil { // or it was no run: an event that a trigger's `if` kept out
		waits, err := s.cancel(ctx, function, runID, "", false)
		if err != nil {
			return nil, err
		}
		if !waits {
			return nil, ErrNoRun
		}
	}
	return s.eventFrom(ctx, function, known, entry)
}

// eventFrom returns the event of a run from wherever it is kept.
func (s *Store) eventFrom(ctx context.Context, function string, known *run.Record, entry *Entry) (*event.Event, error) {
	if known != nil && known.Event != nil {
		return known.Event, nil
	}
	if entry == nil && known != nil && known.ReplayOf != "" {
		var err error
		if entry, err = s.source(ctx, function, known.ReplayOf); err != nil {
			return nil, err
		}
	}
	if entry == nil && known != nil && known.EventType != "" {
		var err error
		if entry, err = s.Locate(ctx, known.EventType, known.EventID); err != nil {
			return nil, err
		}
	}
	if entry == nil {
		return nil, ErrNoEvent
	}
	e, err := entry.starts()
	var malformed *event.MalformedError
	if errors.As(err, &malformed) {
		return nil, fmt.Errorf("%w: it never was one: %s", ErrNoEvent, malformed.Reason)
	}
	return e, err
}
