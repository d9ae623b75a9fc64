package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Briefs fills in what the journals know of open runs, in one round trip:
// their event, their start and their version, but not their steps.
func (s *Inspector) Briefs(ctx context.Context, runs []OpenRun) ([]run.Record, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	fields := make([]*redis.SliceCmd, len(runs))
	for i := range runs {
		fields[i] = pipe.HMGet(ctx, s.keys.Run(runs[i].Function, runs[i].ID), run.IdentityField, run.LacksField)
	}
	if _, err := pipe.Exec(ctx); err != nil && store.FaultOf(err) != store.Absent {
		return nil, fmt.Errorf("read the runs that have not ended: %w", store.Explain(err))
	}
	all := make([]run.Record, len(runs))
	for i := range runs {
		o := &runs[i]
		r := &all[i]
		*r = run.Record{ID: o.ID, Function: o.Function, Status: o.Status, EventID: o.EventID, EventType: o.EventType, StartedAt: o.At, ReplayOf: o.ReplayOf}
		if o.Status == run.Waiting {
			r.WaitsFor = o.Due
		}
		identity, lacks := twoTexts(fields[i])
		if lacks != "" {
			tellLack(r, run.ParseLack(lacks))
		}
		var m run.Identity
		if text := identity; text != "" && json.Unmarshal([]byte(text), &m) == nil {
			r.EventID, r.EventType, r.StartedAt, r.Version = m.Event.ID, m.Event.Type, m.StartedAt, m.Version
			r.Follows, r.ReplayOf = m.Follows, m.ReplayOf
		}
	}
	return all, nil
}

// twoTexts are two fields of a hash, "" where one is not there.
func twoTexts(cmd *redis.SliceCmd) (first, second string) {
	values := cmd.Val()
	if len(values) < 2 {
		return "", ""
	}
	first, _ = values[0].(string)
	second, _ = values[1].(string)
	return first, second
}

// tellLack says of a parked run for which code it waits.
func tellLack(r *run.Record, l *run.Lack) {
	r.Reason = l.Reason()
	r.Error = string(r.Reason) + ": it waits for " + l.String()
}

// Parked says which of the runs are parked, and makes those Waiting, with the
// time at which they go on.
func (s *Inspector) Parked(ctx context.Context, runs []OpenRun) ([]bool, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	owners, dues := make([]*redis.StringCmd, len(runs)), make([]*redis.FloatCmd, len(runs))
	for i := range runs {
		owners[i] = pipe.HGet(ctx, s.keys.Run(runs[i].Function, runs[i].ID), run.OwnerField)
		dues[i] = pipe.ZScore(ctx, s.keys.Timers(runs[i].Function), runs[i].ID)
	}
	if _, err := pipe.Exec(ctx); err != nil && store.FaultOf(err) != store.Absent {
		return nil, fmt.Errorf("look which runs are parked: %w", store.Explain(err))
	}
	parked := make([]bool, len(runs))
	for i := range runs {
		owner, err := owners[i].Result()
		if parked[i] = err == nil && owner == ""; !parked[i] {
			continue
		}
		runs[i].Status = run.Waiting
		runs[i].Due = nil
		if due, err := dues[i].Result(); err == nil && due < noDue {
			at := time.UnixMilli(int64(due)).UTC()
			runs[i].Due = &at
		}
	}
	return parked, nil
}

// Unended returns the state of a run that has not ended, as far as its journal
// tells; nil when there is no journal. Its steps are in the order in which they
// began; a forEach is there as its elements.
func (s *Inspector) Unended(ctx context.Context, function, runID string) (*run.Record, error) {
	k, pipe := s.keys, s.rdb.Pipeline()
	journal := pipe.HGetAll(ctx, k.Run(function, runID))
	timer := pipe.ZScore(ctx, k.Timers(function), runID)
	cancel := pipe.HGet(ctx, k.Cancels(function), runID)
	if _, err := pipe.Exec(ctx); err != nil && store.FaultOf(err) != store.Absent {
		return nil, fmt.Errorf("read run %s: %w", runID, store.Explain(err))
	}
	if len(journal.Val()) == 0 {
		return nil, nil
	}
	now, err := s.conn.Clock(ctx)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", runID, err)
	}
	j := run.DecodeJournal(journal.Val())
	r := &run.Record{ID: runID, Function: function, Status: run.Running, Steps: j.Steps(now)}
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
		if r.Reason = j.Reason(&i, now); j.Lacks != nil {
			tellLack(r, j.Lacks)
		}
		if timer.Err() == nil && timer.Val() < noDue {
			at := time.UnixMilli(int64(timer.Val()))
			r.WaitsFor = &at
		}
	}
	return r, nil
}

// HasJournal returns the function, of some, that has a journal of a run; "":
// none has.
func (s *Inspector) HasJournal(ctx context.Context, functions []string, runID string) (string, error) {
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.IntCmd, len(functions))
	for i, f := range functions {
		cmds[i] = pipe.Exists(ctx, s.keys.Run(f, runID))
	}
	if _, err := pipe.Exec(ctx); err != nil && len(functions) > 0 {
		return "", fmt.Errorf("look up run %s: %w", runID, store.Explain(err))
	}
	for i, f := range functions {
		if cmds[i].Val() == 1 {
			return f, nil
		}
	}
	return "", nil
}

// Child returns the id of the run that a step of an open run has invoked; "":
// none.
func (s *Inspector) Child(ctx context.Context, function, runID, path string) (string, error) {
	text, err := s.rdb.HGet(ctx, s.keys.Run(function, runID), run.ProgressField(path)).Bytes()
	if store.FaultOf(err) == store.Absent {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up step %s of run %s: %w", path, runID, store.Explain(err))
	}
	progress, _ := run.DecodeProgress(path, text) // what is damaged names no child
	return progress.Child, nil
}
