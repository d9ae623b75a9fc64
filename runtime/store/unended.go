package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
)

// Unended returns the state of a run that has not ended, as far as its journal
// tells; nil when there is no journal. Its steps are in the order in which they
// began; a forEach is there as its elements.
func (s *Store) Unended(ctx context.Context, function, runID string) (*Record, error) {
	k, pipe := s.keys, s.rdb.Pipeline()
	journal := pipe.HGetAll(ctx, k.Run(function, runID))
	timer := pipe.ZScore(ctx, k.Timers(function), runID)
	cancel := pipe.HGet(ctx, k.Cancels(function), runID)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read run %s: %w", runID, Explain(err))
	}
	fields := journal.Val()
	if len(fields) == 0 {
		return nil, nil
	}
	r := &Record{ID: runID, Function: function, Status: Running}
	if owner, ok := fields[ownerField]; ok && owner == "" {
		r.Status = Waiting
		if timer.Err() == nil && timer.Val() < noDue {
			at := time.UnixMilli(int64(timer.Val()))
			r.WaitsFor = &at
		}
	}
	if cancel.Err() == nil {
		r.CancelAsked = &parseCancel(cancel.Val()).At
	}
	if at, ok := event.IDTime(runID); ok {
		r.StartedAt = at
	}
	var m Meta
	if text, ok := fields[metaField]; ok && json.Unmarshal([]byte(text), &m) == nil {
		r.Event, r.EventID, r.EventType = &m.Event, m.Event.ID, m.Event.Type
		r.StartedAt, r.Version, r.Follows, r.ReplayOf = m.StartedAt, m.Version, m.Follows, m.ReplayOf
	}
	r.Steps = journalSteps(fields, time.Now())
	return r, nil
}

// journalField is what people want to see of a field of a journal: the result
// of a step, or the progress of one that has not ended. The engine writes them.
type journalField struct {
	Attempts int             `json:"n"`
	Error    string          `json:"e"`
	Start    int64           `json:"t"` // ms since 1970
	Millis   int64           `json:"d"`
	Output   json.RawMessage `json:"o"`
	Due      int64           `json:"u"`
	Seen     string          `json:"s"`
	Child    string          `json:"c"`
	Tries    []struct {
		Start  int64  `json:"t"`
		Millis int64  `json:"d"`
		Error  string `json:"e"`
	} `json:"r"`
}

// journalSteps reads what people want to see of a journal.
func journalSteps(fields map[string]string, now time.Time) []RecordStep {
	var steps []RecordStep
	for name, text := range fields {
		if name[0] == '@' || name[0] == '?' {
			continue
		}
		var f journalField
		if json.Unmarshal([]byte(text), &f) != nil {
			continue
		}
		path, open := strings.CutPrefix(name, progressPrefix)
		if _, ended := fields[path]; open && ended {
			continue
		}
		if open {
			steps = append(steps, f.open(path, now))
			continue
		}
		var before journalField
		_ = json.Unmarshal([]byte(fields[progressPrefix+path]), &before) // there may be none
		steps = append(steps, f.ended(path, &before))
	}
	slices.SortFunc(steps, func(a, b RecordStep) int {
		if c := a.Start.Compare(*b.Start); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	room := maxStepOutputs
	for i := range steps {
		steps[i].Output, steps[i].OutputBytes = keep(steps[i].Output, &room)
	}
	return steps
}

func (f *journalField) step(path, status string) RecordStep {
	at := time.UnixMilli(f.Start)
	s := RecordStep{Name: path, Status: status, Attempts: f.Attempts, Start: &at, Millis: f.Millis, Error: f.Error}
	for _, t := range f.Tries {
		s.Tries = append(s.Tries, Try{Start: time.UnixMilli(t.Start), Millis: t.Millis, Error: t.Error})
	}
	return s
}

// open tells a step that has not ended, as far as the journal knows. A sleep
// leaves no result: it has ended when its time is over.
func (f *journalField) open(path string, now time.Time) RecordStep {
	sleeps := f.Due > 0 && f.Attempts == 0 && f.Error == "" && f.Seen == "" && f.Child == ""
	if sleeps && f.Due <= now.UnixMilli() {
		f.Attempts, f.Millis = 1, max(0, f.Due-f.Start)
		return f.step(path, "ok")
	}
	s := f.step(path, "waiting")
	if f.Due > 0 {
		until := time.UnixMilli(f.Due)
		s.Until = &until
	}
	return s
}

// ended tells a step that has a result. One that waited began with the wait.
func (f *journalField) ended(path string, before *journalField) RecordStep {
	if (before.Seen != "" || before.Child != "") && before.Start < f.Start {
		f.Millis += f.Start - before.Start
		f.Start = before.Start
	}
	s := f.step(path, "ok")
	if f.Error != "" {
		s.Status = "failed"
	}
	if !isNull(f.Output) {
		s.Output = f.Output
	}
	return s
}
