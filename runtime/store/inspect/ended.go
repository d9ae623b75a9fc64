package inspect

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Ended looks a run up in the history of its function; nil when it isn't there.
func (s *Inspector) Ended(ctx context.Context, function, runID string) (*run.Record, error) {
	return s.FindEnded(ctx, []string{function}, runID)
}

// early is how much before the time in its id a run may have ended: the clocks
// of a runner, which made the id, and of Redis differ.
const early = time.Minute

// FindEnded looks a run up in the histories of functions; nil when it is in
// none.
func (s *Inspector) FindEnded(ctx context.Context, functions []string, runID string) (*run.Record, error) {
	head := `{"i":"` + runID + `"`
	search := HistorySearch{Functions: functions, Fits: func(text string) bool { return strings.HasPrefix(text, head) }}
	// A run ends after the time in its id, and soon as a rule: the search begins
	// there, and what is before comes last.
	before := HistorySearch{}
	if at, ok := event.IDTime(runID); ok {
		before = search
		search.From = strconv.FormatInt(at.UnixMilli(), 10)
		before.From, before.To = strconv.FormatInt(at.Add(-early).UnixMilli(), 10), "("+search.From
	}
	found, err := s.SearchEnded(ctx, &search)
	if found == nil && err == nil {
		found, err = s.SearchEnded(ctx, &before)
	}
	if err != nil {
		return nil, fmt.Errorf("look up run %s: %w", runID, err)
	}
	return found, nil
}

// HistorySearch says where to look for a run in histories, from the oldest
// entry on.
type HistorySearch struct {
	Functions []string
	// From and To bound the entries, as in XRANGE; "": no bound.
	From, To string
	// Most bounds the entries of each history; 0: all.
	Most int
	// Fits says whether an entry, in JSON, is the one.
	Fits func(text string) bool
}

// SearchEnded returns the first run that fits; nil when there is none.
func (s *Inspector) SearchEnded(ctx context.Context, q *HistorySearch) (*run.Record, error) {
	type place struct{ function, stream, from string }
	var open []place
	for _, f := range q.Functions {
		from := cmp.Or(q.From, "-")
		open = append(open, place{f, s.keys.Done(f), from}, place{f, s.keys.Dead(f), from})
	}
	const largest = 1000
	for page, read := 50, 0; len(open) > 0 && (q.Most == 0 || read < q.Most); page = min(4*page, largest) {
		pipe := s.rdb.Pipeline()
		cmds := make([]*redis.XMessageSliceCmd, len(open))
		for i, o := range open {
			cmds[i] = pipe.XRangeN(ctx, o.stream, o.from, cmp.Or(q.To, "+"), int64(page))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("read the history: %w", store.Explain(err))
		}
		read += page
		var rest []place
		for i, o := range open {
			entries := cmds[i].Val()
			for _, e := range entries {
				if text, _ := e.Values["r"].(string); q.Fits(text) {
					r, err := run.DecodeRecord(o.function, e.ID, text)
					return &r, err
				}
			}
			if len(entries) == page {
				o.from = "(" + entries[len(entries)-1].ID
				rest = append(rest, o)
			}
		}
		open = rest
	}
	return nil, nil
}
