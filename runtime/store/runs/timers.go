package runs

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// Fire puts up to most runs whose time has come back into the inbox.
func (s *Store) Fire(ctx context.Context, function string, most int) (fired int, next, now time.Time, err error) {
	reply, err := s.run(ctx, "fire", []string{s.keys.Timers(function), s.keys.Inbox(function)}, most).Int64Slice()
	if err != nil || len(reply) != 3 {
		return 0, next, now, fmt.Errorf("fire timers of %s: %w", function, store.Explain(err))
	}
	if reply[1] >= 0 {
		next = time.UnixMilli(reply[1])
	}
	return int(reply[0]), next, time.UnixMilli(reply[2]), nil
}

// LastTick returns the last tick of a schedule that started a run, or was
// noted; zero when the schedule is new.
func (s *Store) LastTick(ctx context.Context, function, schedule string) (time.Time, error) {
	ms, err := s.rdb.HGet(ctx, s.keys.Cron(function), schedule).Int64()
	if err != nil {
		if store.FaultOf(err) == store.Absent {
			return time.Time{}, nil
		}
		return time.Time{}, store.Explain(err)
	}
	return time.UnixMilli(ms), nil
}

// NoteTick makes a schedule known without starting a run for what is past.
func (s *Store) NoteTick(ctx context.Context, function, schedule string, tick time.Time) error {
	return store.Explain(s.rdb.HSetNX(ctx, s.keys.Cron(function), schedule, tick.UnixMilli()).Err())
}

// Tick starts the run of a tick, unless another runner did.
func (s *Store) Tick(ctx context.Context, function, schedule string, tick time.Time, runID string, eventJSON []byte) (bool, error) {
	n, err := s.run(ctx, "tick", []string{s.keys.Cron(function), s.keys.Inbox(function)}, schedule, tick.UnixMilli(), runID, eventJSON).Int()
	if err != nil {
		return false, fmt.Errorf("cron tick of %s: %w", function, store.Explain(err))
	}
	return n == 1, nil
}
