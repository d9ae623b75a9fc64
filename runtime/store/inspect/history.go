package inspect

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// HistoryRange is a part of one of the two histories of a function, from its
// newest entry on.
type HistoryRange struct {
	Function string
	// Dead is the history of the runs that did not succeed; else that of those
	// that did.
	Dead bool
	// Newest and Oldest bound the entries, as in XREVRANGE; "": no bound.
	Newest, Oldest string
	Count          int
}

func (r *HistoryRange) stream(k store.Keys) string {
	if r.Dead {
		return k.Dead(r.Function)
	}
	return k.Done(r.Function)
}

// HistoryEntry is a run in the history, not decoded yet: most of what is read
// to fill a page is not on it.
type HistoryEntry struct {
	// ID is the id of the entry: its time is when the run ended.
	ID       string
	Function string
	Dead     bool
	text     string
}

// Record decodes the entry.
func (e *HistoryEntry) Record() (run.Record, error) {
	return run.DecodeRecord(e.Function, e.ID, e.text)
}

// Text is the entry as it is stored: JSON. What is not in it is not in the
// Record either, which spares decoding it.
func (e *HistoryEntry) Text() string { return e.text }

// Histories reads parts of histories in one round trip, each with the newest
// first.
func (s *Inspector) Histories(ctx context.Context, ranges []HistoryRange) ([][]HistoryEntry, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.XMessageSliceCmd, len(ranges))
	for i := range ranges {
		r := &ranges[i]
		newest, oldest := r.Newest, r.Oldest
		if newest == "" {
			newest = "+"
		}
		if oldest == "" {
			oldest = "-"
		}
		cmds[i] = pipe.XRevRangeN(ctx, r.stream(s.keys), newest, oldest, int64(r.Count))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read the history: %w", store.Explain(err))
	}
	all := make([][]HistoryEntry, len(ranges))
	for i, cmd := range cmds {
		messages := cmd.Val()
		all[i] = make([]HistoryEntry, len(messages))
		for j, m := range messages {
			text, _ := m.Values["r"].(string)
			all[i][j] = HistoryEntry{ID: m.ID, Function: ranges[i].Function, Dead: ranges[i].Dead, text: text}
		}
	}
	return all, nil
}

// History returns finished and failed runs of a function, newest first.
func (s *Inspector) History(ctx context.Context, function string, most int) ([]run.Record, error) {
	var all []run.Record
	for _, stream := range []string{s.keys.Done(function), s.keys.Dead(function)} {
		entries, err := s.rdb.XRevRangeN(ctx, stream, "+", "-", int64(most)).Result()
		if err != nil {
			return nil, fmt.Errorf("read history of %s: %w", function, store.Explain(err))
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

// Ends are the last runs of a function, newest first.
type Ends struct {
	// Runs are at most as many as were asked for.
	Runs []run.Record
	// LastFailure is the newest run that failed, nil when none is remembered.
	LastFailure *run.Record
}

// LastEnds reads the last runs of each function that ended, in one round trip.
func (s *Inspector) LastEnds(ctx context.Context, subjects []Subject, most int64) ([]Ends, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	done, dead := make([]*redis.XMessageSliceCmd, len(subjects)), make([]*redis.XMessageSliceCmd, len(subjects))
	for i, subject := range subjects {
		k := store.NewKeys(subject.Namespace)
		done[i] = pipe.XRevRangeN(ctx, k.Done(subject.Function), "+", "-", most)
		dead[i] = pipe.XRevRangeN(ctx, k.Dead(subject.Function), "+", "-", most)
	}
	if _, err := pipe.Exec(ctx); store.FaultOf(err).General() {
		return nil, fmt.Errorf("read the last runs of %d functions: %w", len(subjects), store.Explain(err))
	}
	all := make([]Ends, len(subjects))
	for i, subject := range subjects {
		failed := s.decodeEnds(subject.Function, dead[i].Val())
		if at := slices.IndexFunc(failed, func(r run.Record) bool { return r.Status == run.Failed || r.Status == run.Rejected }); at >= 0 {
			all[i].LastFailure = &failed[at] // others were cancelled
		}
		runs := append(s.decodeEnds(subject.Function, done[i].Val()), failed...)
		slices.SortStableFunc(runs, func(a, b run.Record) int { return b.EndedAt.Compare(*a.EndedAt) })
		all[i].Runs = runs[:min(int(most), len(runs))]
	}
	return all, nil
}

func (s *Inspector) decodeEnds(function string, entries []redis.XMessage) []run.Record {
	all := make([]run.Record, 0, len(entries))
	for _, e := range entries {
		text, _ := e.Values["r"].(string)
		r, err := run.DecodeRecord(function, e.ID, text)
		if err != nil {
			s.log.Warn("history entry skipped", "function", function, "entry", e.ID, "error", err)
			continue
		}
		at := event.EntryTime(e.ID) // by one clock, the server's
		r.EndedAt = &at
		all = append(all, r)
	}
	return all
}
