package store

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/run"
)

// keepReplaced is how long a version that was replaced is kept for runs that
// are not parked, such as those of a runner that crashed.
const keepReplaced = time.Hour

// SavePlan stores a version of a function and makes it the installed one.
// Versions that no run needs any more are dropped.
func (s *Store) SavePlan(ctx context.Context, function, version string, spec []byte) error {
	k := s.keys
	err := s.run(ctx, "plan", []string{k.Plans(function), k.Functions(), k.Versions(function), k.Replaced(function)},
		function, version, spec, keepReplaced.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("store version %s of %s: %w", version, function, Explain(err))
	}
	return nil
}

// Plans returns the stored versions of a function.
func (s *Store) Plans(ctx context.Context, function string) (map[string]string, error) {
	all, err := s.rdb.HGetAll(ctx, s.keys.Plans(function)).Result()
	if err != nil {
		return nil, fmt.Errorf("read versions of %s: %w", function, Explain(err))
	}
	return all, nil
}

// Functions returns the installed functions and their versions.
func (s *Store) Functions(ctx context.Context) (map[string]string, error) {
	all, err := s.rdb.HGetAll(ctx, s.keys.Functions()).Result()
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", Explain(err))
	}
	return all, nil
}

// WaitPath is an event type and a match path that some run waits on.
type WaitPath = run.WaitPath

// RegisterWaits adds to what runs of the function may wait on and says whether
// anything was new: then other runners may not know it yet.
func (s *Store) RegisterWaits(ctx context.Context, function string, paths []WaitPath) (fresh bool, err error) {
	for _, p := range paths {
		added, err := s.rdb.HSetNX(ctx, s.keys.Waits(function), p.EventType+" "+p.Match, 1).Result()
		if err != nil {
			return false, fmt.Errorf("register waits of %s: %w", function, Explain(err))
		}
		fresh = fresh || added
	}
	return fresh, nil
}

// WaitPaths returns what runs of the function, of any version, wait on.
func (s *Store) WaitPaths(ctx context.Context, function string) ([]WaitPath, error) {
	fields, err := s.rdb.HKeys(ctx, s.keys.Waits(function)).Result()
	if err != nil {
		return nil, fmt.Errorf("read waits of %s: %w", function, Explain(err))
	}
	paths := make([]WaitPath, 0, len(fields))
	for _, f := range fields {
		eventType, match, _ := strings.Cut(f, " ")
		paths = append(paths, WaitPath{EventType: eventType, Match: match})
	}
	return paths, nil
}

// Waiters returns the runs that wait for an event type with a matched value.
func (s *Store) Waiters(ctx context.Context, function, eventType, match, value string) ([]run.Waiter, error) {
	members, err := s.rdb.SMembers(ctx, s.keys.Wait(function, eventType, match, value)).Result()
	if err != nil {
		return nil, fmt.Errorf("read waits of %s: %w", function, Explain(err))
	}
	all := make([]run.Waiter, 0, len(members))
	for _, m := range members {
		all = append(all, run.ParseMember(m))
	}
	return all, nil
}

// History returns finished and failed runs of a function, newest first.
func (s *Store) History(ctx context.Context, function string, most int) ([]run.Record, error) {
	var all []run.Record
	for _, stream := range []string{s.keys.Done(function), s.keys.Dead(function)} {
		entries, err := s.rdb.XRevRangeN(ctx, stream, "+", "-", int64(most)).Result()
		if err != nil {
			return nil, fmt.Errorf("read history of %s: %w", function, Explain(err))
		}
		for _, e := range entries {
			text, _ := e.Values["r"].(string)
			r, err := run.DecodeRecord(function, e.ID, text)
			if err != nil {
				s.log.Warn("history entry skipped", "function", function, "entry", e.ID, "error", err)
				continue
			}
			all = append(all, r)
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].EndedAt.After(*all[j].EndedAt) })
	return all[:min(most, len(all))], nil
}

// Open returns the runs of a function that have not ended: the parked ones, by
// due time, and those that runners have.
func (s *Store) Open(ctx context.Context, function string, most int) ([]run.Record, error) {
	ids, err := s.rdb.ZRange(ctx, s.keys.Timers(function), 0, int64(most)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("list waiting runs of %s: %w", function, Explain(err))
	}
	var all []run.Record
	for _, id := range ids {
		r, err := s.Unended(ctx, function, id)
		if err != nil {
			return nil, err
		}
		if r != nil {
			all = append(all, *r)
		}
	}
	return all, nil
}

// Groups returns the functions that read an event type.
func (s *Store) Groups(ctx context.Context, eventType string) ([]redis.XInfoGroup, error) {
	groups, err := s.rdb.XInfoGroups(ctx, s.keys.Stream(eventType)).Result()
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return nil, nil
	}
	return groups, Explain(err)
}
