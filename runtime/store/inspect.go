package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
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
type WaitPath struct{ EventType, Match string }

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
		paths = append(paths, WaitPath{eventType, match})
	}
	return paths, nil
}

// Waiter is a run and the path of the step in it that waits.
type Waiter struct {
	RunID, Path string
	// HasIf says that only the run itself can tell whether an event fits.
	HasIf bool
}

// Waiters returns the runs that wait for an event type with a matched value.
func (s *Store) Waiters(ctx context.Context, function, eventType, match, value string) ([]Waiter, error) {
	members, err := s.rdb.SMembers(ctx, s.keys.Wait(function, eventType, match, value)).Result()
	if err != nil {
		return nil, fmt.Errorf("read waits of %s: %w", function, Explain(err))
	}
	all := make([]Waiter, 0, len(members))
	for _, m := range members {
		run, path, _ := strings.Cut(m, " ")
		path, hasIf := strings.CutSuffix(path, " if")
		all = append(all, Waiter{run, path, hasIf})
	}
	return all, nil
}

// History returns finished and failed runs of a function, newest first.
func (s *Store) History(ctx context.Context, function string, most int) ([]Record, error) {
	var all []Record
	for _, stream := range []string{s.keys.Done(function), s.keys.Dead(function)} {
		entries, err := s.rdb.XRevRangeN(ctx, stream, "+", "-", int64(most)).Result()
		if err != nil {
			return nil, fmt.Errorf("read history of %s: %w", function, Explain(err))
		}
		for _, e := range entries {
			text, _ := e.Values["r"].(string)
			r, err := decodeRecord(function, e.ID, text)
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

// Ended looks a run up in the history of its function; nil when it isn't there.
func (s *Store) Ended(ctx context.Context, function, runID string) (*Record, error) {
	for _, stream := range []string{s.keys.Done(function), s.keys.Dead(function)} {
		// A run ends after the time in its id, so that the search begins there.
		start := "-"
		if at, ok := event.IDTime(runID); ok {
			start = strconv.FormatInt(at.Add(-time.Minute).UnixMilli(), 10)
		}
		for {
			const page = 500
			entries, err := s.rdb.XRangeN(ctx, stream, start, "+", page).Result()
			if err != nil {
				return nil, fmt.Errorf("read history of %s: %w", function, Explain(err))
			}
			for _, e := range entries {
				text, _ := e.Values["r"].(string)
				if !strings.HasPrefix(text, `{"i":"`+runID+`"`) {
					continue
				}
				r, err := decodeRecord(function, e.ID, text)
				return &r, err
			}
			if len(entries) < page {
				break
			}
			start = "(" + entries[len(entries)-1].ID
		}
	}
	return nil, nil
}

// Unended returns the state of a run that has not ended, as far as its journal
// tells; nil when there is no journal.
func (s *Store) Unended(ctx context.Context, function, runID string) (*Record, error) {
	fields, err := s.rdb.HGetAll(ctx, s.keys.Run(function, runID)).Result()
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", runID, Explain(err))
	}
	if len(fields) == 0 {
		return nil, nil
	}
	r := &Record{ID: runID, Function: function, Status: Running}
	if owner, ok := fields[ownerField]; ok && owner == "" {
		r.Status = Waiting
		due, err := s.rdb.ZScore(ctx, s.keys.Timers(function), runID).Result()
		if err == nil && due < 8e15 {
			at := time.UnixMilli(int64(due))
			r.WaitsFor = &at
		}
	}
	if text, ok := fields[metaField]; ok {
		var m Meta
		if err := json.Unmarshal([]byte(text), &m); err == nil {
			r.Event, r.EventID, r.EventType, r.StartedAt, r.Version, r.Follows = &m.Event, m.Event.ID, m.Event.Type, m.StartedAt, m.Version, m.Follows
		}
	} else if at, ok := event.IDTime(runID); ok {
		r.StartedAt = at
	}
	r.Steps = journalSteps(fields)
	return r, nil
}

// journalSteps reads what people want to see of a journal.
func journalSteps(fields map[string]string) []RecordStep {
	type state struct {
		Attempts int    `json:"n"`
		Error    string `json:"e"`
		Start    int64  `json:"t"`
		Millis   int64  `json:"d"`
	}
	var steps []RecordStep
	for name, text := range fields {
		if name[0] == '@' || name[0] == '?' {
			continue
		}
		var st state
		if json.Unmarshal([]byte(text), &st) != nil {
			continue
		}
		path, open := strings.CutPrefix(name, progressPrefix)
		at := time.UnixMilli(st.Start)
		step := RecordStep{Name: path, Status: "ok", Attempts: st.Attempts, Start: &at, Millis: st.Millis, Error: st.Error}
		switch _, ended := fields[path]; {
		case open && ended:
			continue
		case open:
			step.Status, step.Millis = "waiting", 0
		case st.Error != "":
			step.Status = "failed"
		}
		steps = append(steps, step)
	}
	sort.Slice(steps, func(i, j int) bool { return steps[i].Start.Before(*steps[j].Start) })
	return steps
}

// Open returns the runs of a function that have not ended: the parked ones, by
// due time, and those that runners have.
func (s *Store) Open(ctx context.Context, function string, most int) ([]Record, error) {
	ids, err := s.rdb.ZRange(ctx, s.keys.Timers(function), 0, int64(most)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("list waiting runs of %s: %w", function, Explain(err))
	}
	var all []Record
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

// Stats are the numbers of a function.
type Stats struct {
	Unread    int64 `json:"unread"`    // entries that no runner has read
	Pending   int64 `json:"inFlight"`  // entries that runners have
	Waiting   int64 `json:"waiting"`   // parked runs
	Due       int64 `json:"due"`       // parked runs whose time has come
	Succeeded int64 `json:"succeeded"` // in all
	Failed    int64 `json:"failed"`    // in all
	Dropped   int64 `json:"dropped"`   // by a rate limit
	Duplicate int64 `json:"duplicate"` // by an idempotency key
	Runners   int64 `json:"runners"`
}

// Backlog is what is there to be done: unread and due.
func (s Stats) Backlog() int64 { return s.Unread + s.Due }

// Stats reads the numbers of a function that reads these event types.
func (s *Store) Stats(ctx context.Context, function string, eventTypes []string) (Stats, error) {
	k := s.keys
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	pipe := s.rdb.Pipeline()
	waiting, due := pipe.ZCard(ctx, k.Timers(function)), pipe.ZCount(ctx, k.Timers(function), "-inf", now)
	counters, runners := pipe.HGetAll(ctx, k.Counters(function)), pipe.ZCard(ctx, k.Runners(function))
	if _, err := pipe.Exec(ctx); err != nil {
		return Stats{}, fmt.Errorf("read numbers of %s: %w", function, Explain(err))
	}
	n := func(name string) int64 { v, _ := strconv.ParseInt(counters.Val()[name], 10, 64); return v }
	st := Stats{Waiting: waiting.Val(), Due: due.Val(), Runners: runners.Val(),
		Succeeded: n("finished"), Failed: n("failed"), Dropped: n("dropped"), Duplicate: n("duplicate")}
	streams := []string{k.Inbox(function)}
	for _, t := range eventTypes {
		streams = append(streams, k.Stream(t))
	}
	for _, stream := range streams {
		groups, err := s.rdb.XInfoGroups(ctx, stream).Result()
		if err != nil {
			if strings.Contains(err.Error(), "no such key") {
				continue
			}
			return st, fmt.Errorf("read numbers of %s: %w", stream, Explain(err))
		}
		for _, g := range groups {
			if g.Name == function {
				n, err := s.unread(ctx, stream, g)
				if err != nil {
					return st, err
				}
				st.Unread += n
				st.Pending += g.Pending
			}
		}
	}
	return st, nil
}

// Groups returns the functions that read an event type.
func (s *Store) Groups(ctx context.Context, eventType string) ([]redis.XInfoGroup, error) {
	groups, err := s.rdb.XInfoGroups(ctx, s.keys.Stream(eventType)).Result()
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return nil, nil
	}
	return groups, Explain(err)
}
