package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// Unended returns the state of a run that has not ended, as far as its journal
// tells; nil when there is no journal. Its steps are in the order in which they
// began; a forEach is there as its elements.
func (s *Store) Unended(ctx context.Context, function, runID string) (*run.Record, error) {
	k, pipe := s.keys, s.rdb.Pipeline()
	journal := pipe.HGetAll(ctx, k.Run(function, runID))
	timer := pipe.ZScore(ctx, k.Timers(function), runID)
	cancel := pipe.HGet(ctx, k.Cancels(function), runID)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read run %s: %w", runID, Explain(err))
	}
	if len(journal.Val()) == 0 {
		return nil, nil
	}
	j := run.DecodeJournal(journal.Val())
	r := &run.Record{ID: runID, Function: function, Status: run.Running, Steps: j.Steps(time.Now())}
	if cancel.Err() == nil {
		r.CancelAsked = &run.ParseCancelRequest(cancel.Val()).At
	}
	if at, ok := event.IDTime(runID); ok {
		r.StartedAt = at
	}
	i, err := j.DecodeIdentity(runID)
	if err == nil { // else it was never parked
		r.Event = &i.Event
		r.EventID = i.Event.ID
		r.EventType = i.Event.Type
		r.StartedAt = i.StartedAt
		r.Version = i.Version
		r.Follows = i.Follows
		r.ReplayOf = i.ReplayOf
	}
	if j.Parked {
		r.Status = run.Waiting
		r.Reason = j.Reason(&i)
		if timer.Err() == nil && timer.Val() < noDue {
			at := time.UnixMilli(int64(timer.Val()))
			r.WaitsFor = &at
		}
	}
	return r, nil
}
