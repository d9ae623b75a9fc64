package acts

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// replayMemory is how long a lost answer may be asked for again.
const replayMemory = time.Minute

// Replay starts a new run with the event of another one, ended or not, from the
// start and on the function as it is now, and returns its id. When it returns
// nil the new run is durable, and there is exactly one. The error is ErrNoRun or
// ErrNoEvent, or one of Redis; after one of those there may be a run, or none.
func (a *Acts) Replay(ctx context.Context, function, runID string) (newRunID string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("replay run %s of %s: %w", runID, function, err)
	}
	installed, err := a.rdb.HExists(ctx, a.keys.Functions(), function).Result()
	if err != nil {
		return fail(store.Explain(err))
	}
	if !installed {
		return fail(fmt.Errorf("there is no function %s (any more): %w", function, ErrNoRun))
	}
	e, err := a.eventOf(ctx, function, runID)
	if err != nil {
		return fail(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		return fail(fmt.Errorf("encode event %s: %w", e.ID, err))
	}
	now, err := a.conn.Now(ctx)
	if err != nil {
		return fail(err)
	}
	id := event.DerivedID(now, function, "replay", runID, rand.Text())
	keys := []string{a.keys.Replay(function, id), a.keys.Inbox(function)}
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		err := a.run(ctx, "replay", keys, id, text, runID, replayMemory.Milliseconds()).Err()
		if err == nil {
			return id, nil
		}
		if !store.Temporary(err) || pause > time.Second {
			return fail(store.Explain(err))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fail(errors.Join(ctx.Err(), store.Explain(err)))
		}
	}
}

// ErrNoEvent says that the event of a run is not kept any more.
var ErrNoEvent = errors.New("the event of the run is not kept any more (its stream was trimmed: see the retention of its event type)")

// eventOf returns the event that started a run. The error is ErrNoRun or
// ErrNoEvent, or one of Redis.
func (a *Acts) eventOf(ctx context.Context, function, runID string) (*event.Event, error) {
	// In this order: that of the places through which a run passes.
	entry, err := a.inspect.Source(ctx, function, runID)
	if err != nil {
		return nil, err
	}
	open, err := a.inspect.Unended(ctx, function, runID)
	if err != nil {
		return nil, err
	}
	ended, err := a.inspect.Ended(ctx, function, runID)
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
		waits, err := a.cancel(ctx, function, runID, "", false)
		if err != nil {
			return nil, err
		}
		if !waits {
			return nil, ErrNoRun
		}
	}
	return a.eventFrom(ctx, function, known, entry)
}

// eventFrom returns the event of a run from wherever it is kept.
func (a *Acts) eventFrom(ctx context.Context, function string, known *run.Record, entry *store.Entry) (*event.Event, error) {
	if known != nil && known.Event != nil {
		return known.Event, nil
	}
	if entry == nil && known != nil && known.ReplayOf != "" {
		var err error
		if entry, err = a.inspect.Source(ctx, function, known.ReplayOf); err != nil {
			return nil, err
		}
	}
	if entry == nil && known != nil && known.EventType != "" {
		var err error
		if entry, err = a.inspect.Locate(ctx, known.EventType, known.EventID); err != nil {
			return nil, err
		}
	}
	if entry == nil {
		return nil, ErrNoEvent
	}
	e, err := entry.StartEvent()
	var malformed *event.MalformedError
	if errors.As(err, &malformed) {
		return nil, fmt.Errorf("%w: it never was one: %s", ErrNoEvent, malformed.Reason)
	}
	return e, err
}
