package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/event"
)

// replayMemory is how long a lost answer may be asked for again.
const replayMemory = time.Minute

// Replay starts a new run with the event of another one, ended or not, from the
// start and on the function as it is now, and returns its id. When it returns
// nil the new run is durable, and there is exactly one. The error is ErrNoRun or
// ErrNoEvent, or one of Redis; after one of those there may be a run, or none.
func (s *Store) Replay(ctx context.Context, function, runID string) (newRunID string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("replay run %s of %s: %w", runID, function, err)
	}
	installed, err := s.rdb.HExists(ctx, s.keys.Functions(), function).Result()
	if err != nil {
		return fail(Explain(err))
	}
	if !installed {
		return fail(fmt.Errorf("there is no function %s (any more): %w", function, ErrNoRun))
	}
	e, err := s.eventOf(ctx, function, runID)
	if err != nil {
		return fail(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		return fail(fmt.Errorf("encode event %s: %w", e.ID, err))
	}
	now, err := s.Now(ctx)
	if err != nil {
		return fail(err)
	}
	id := event.DerivedID(now, function, "replay", runID, rand.Text())
	keys := []string{s.keys.Replay(function, id), s.keys.Inbox(function)}
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		err := s.run(ctx, "replay", keys, id, text, runID, replayMemory.Milliseconds()).Err()
		if err == nil {
			return id, nil
		}
		if !Temporary(err) || pause > time.Second {
			return fail(Explain(err))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fail(errors.Join(ctx.Err(), Explain(err)))
		}
	}
}
