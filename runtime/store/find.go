package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
)

// Ended looks a run up in the history of its function; nil when it isn't there.
func (s *Store) Ended(ctx context.Context, function, runID string) (*Record, error) {
	return s.FindEnded(ctx, []string{function}, runID)
}

// FindEnded looks a run up in the histories of functions; nil when it is in
// none.
func (s *Store) FindEnded(ctx context.Context, functions []string, runID string) (*Record, error) {
	// A run ends after the time in its id, so that the search begins there.
	start := "-"
	if at, ok := event.IDTime(runID); ok {
		start = strconv.FormatInt(at.Add(-time.Minute).UnixMilli(), 10)
	}
	head := `{"i":"` + runID + `"`
	found, err := s.SearchEnded(ctx, functions, start, 0, func(text string) bool { return strings.HasPrefix(text, head) })
	if err != nil {
		return nil, fmt.Errorf("look up run %s: %w", runID, err)
	}
	return found, nil
}

// SearchEnded returns the first run in the histories of functions, from an
// entry id on, whose JSON fits; nil when there is none among the first most of
// each history (0: all).
func (s *Store) SearchEnded(ctx context.Context, functions []string, start string, most int, fits func(text string) bool) (*Record, error) {
	type search struct{ function, stream, start string }
	var open []search
	for _, f := range functions {
		open = append(open, search{f, s.keys.Done(f), start}, search{f, s.keys.Dead(f), start})
	}
	const largest = 1000
	for page, read := 50, 0; len(open) > 0 && (most == 0 || read < most); page = min(4*page, largest) {
		pipe := s.rdb.Pipeline()
		cmds := make([]*redis.XMessageSliceCmd, len(open))
		for i, o := range open {
			cmds[i] = pipe.XRangeN(ctx, o.stream, o.start, "+", int64(page))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("read the history: %w", Explain(err))
		}
		read += page
		var rest []search
		for i, o := range open {
			entries := cmds[i].Val()
			for _, e := range entries {
				if text, _ := e.Values["r"].(string); fits(text) {
					r, err := decodeRecord(o.function, e.ID, text)
					return &r, err
				}
			}
			if len(entries) == page {
				o.start = "(" + entries[len(entries)-1].ID
				rest = append(rest, o)
			}
		}
		open = rest
	}
	return nil, nil
}

// HasJournal returns the function, of some, that has a journal of a run; "":
// none has.
func (s *Store) HasJournal(ctx context.Context, functions []string, runID string) (string, error) {
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.IntCmd, len(functions))
	for i, f := range functions {
		cmds[i] = pipe.Exists(ctx, s.keys.Run(f, runID))
	}
	if _, err := pipe.Exec(ctx); err != nil && len(functions) > 0 {
		return "", fmt.Errorf("look up run %s: %w", runID, Explain(err))
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
func (s *Store) Child(ctx context.Context, function, runID, path string) (string, error) {
	text, err := s.rdb.HGet(ctx, s.keys.Run(function, runID), progressPrefix+path).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up step %s of run %s: %w", path, runID, Explain(err))
	}
	var progress struct {
		Child string `json:"c"`
	}
	_ = json.Unmarshal([]byte(text), &progress) // what is damaged names no child
	return progress.Child, nil
}
