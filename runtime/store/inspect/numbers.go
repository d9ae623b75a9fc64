package inspect

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

// runnerSilence is how long a runner may be silent and still counts as there:
// longer than any lease that makes sense.
const runnerSilence = time.Minute

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
	Cancelled int64 `json:"cancelled"` // in all
	Runners   int64 `json:"runners"`
}

// Backlog is what is there to be done: unread and due.
func (s Stats) Backlog() int64 { return s.Unread + s.Due }

// Stats reads the numbers of a function that reads these event types.
func (s *Inspector) Stats(ctx context.Context, function string, eventTypes []string) (Stats, error) {
	all, err := s.StatsOf(ctx, []Reads{{Function: function, Types: eventTypes}})
	if err != nil {
		return Stats{}, fmt.Errorf("read numbers of %s: %w", function, err)
	}
	return all[0], nil
}

// StatsOf reads the numbers of functions, in one round trip as a rule.
func (s *Inspector) StatsOf(ctx context.Context, functions []Reads) ([]Stats, error) {
	type answers struct {
		waiting, due, runners *redis.IntCmd
		counters              *redis.MapStringStringCmd
	}
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	k, pipe := s.keys, s.rdb.Pipeline()
	asked := make([]answers, len(functions))
	groups := map[string]*redis.XInfoGroupsCmd{}
	for i, f := range functions {
		asked[i] = answers{
			pipe.ZCard(ctx, k.Timers(f.Function)), pipe.ZCount(ctx, k.Timers(f.Function), "-inf", now),
			pipe.ZCard(ctx, k.Runners(f.Function)), pipe.HGetAll(ctx, k.Counters(f.Function)),
		}
		for _, stream := range s.streamsOf(&f) {
			if groups[stream] == nil {
				groups[stream] = pipe.XInfoGroups(ctx, stream)
			}
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error; a missing stream is none
	all := make([]Stats, len(functions))
	for i, f := range functions {
		a := asked[i]
		for _, cmd := range []redis.Cmder{a.waiting, a.due, a.runners, a.counters} {
			if err := cmd.Err(); err != nil {
				return nil, store.Explain(err)
			}
		}
		n := func(name string) int64 { v, _ := strconv.ParseInt(a.counters.Val()[name], 10, 64); return v }
		all[i] = Stats{Waiting: a.waiting.Val(), Due: a.due.Val(), Runners: a.runners.Val(), Succeeded: n("finished"),
			Failed: n("failed"), Dropped: n("dropped"), Duplicate: n("duplicate"), Cancelled: n("cancelled")}
		for _, stream := range s.streamsOf(&f) {
			if err := s.addGroup(ctx, &all[i], f.Function, stream, groups[stream]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// streamsOf returns the streams of which a function has entries: its inbox, that
// of adopted runs, and those that it reads.
func (s *Inspector) streamsOf(f *Reads) []string {
	streams := append(make([]string, 0, 2+len(f.Types)), s.keys.Inbox(f.Function), s.keys.Adopted(f.Function))
	for _, t := range f.Types {
		streams = append(streams, s.keys.Stream(t))
	}
	return streams
}

// addGroup adds what a function has to do with a stream.
func (s *Inspector) addGroup(ctx context.Context, st *Stats, function, stream string, cmd *redis.XInfoGroupsCmd) error {
	groups, err := cmd.Result()
	if store.FaultOf(err) == store.NoGroup {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read numbers of %s: %w", stream, store.Explain(err))
	}
	for _, g := range groups {
		if g.Name != function {
			continue
		}
		n, err := s.unread(ctx, stream, g)
		if err != nil {
			return err
		}
		st.Unread += n
		st.Pending += g.Pending
	}
	return nil
}

// unread counts the entries of a stream that a group was not given yet. The
// server's count is missing after some deletions, and the Redis that is built
// into `wildout dev` counts the whole stream; both say so by not knowing how
// many entries were read.
func (s *Inspector) unread(ctx context.Context, stream string, g redis.XInfoGroup) (int64, error) {
	if g.Lag == 0 || g.Lag > 0 && g.EntriesRead > 0 {
		return g.Lag, nil
	}
	const most = 1000 // enough to know that there is much
	entries, err := s.peek(ctx, []streamRange{{stream, "", "(" + g.LastDeliveredID, most}}, 0)
	if err != nil {
		return 0, fmt.Errorf("count what %s has not read of %s: %w", g.Name, stream, err)
	}
	return int64(len(entries[0])), nil
}
