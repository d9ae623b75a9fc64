package inspect

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// Backlog is what waits for the runners of a function, and for how long.
type Backlog struct {
	Unread   int64 // entries that no runner was given
	Due      int64 // parked runs whose time has come
	Parked   int64 // parked runs, those that are due included
	InFlight int64 // entries that runners have
	Runners  int64 // runners with a heartbeat in the last minute
	Lacking  int64 // parked runs that wait for code that no runner had
	// OldestUnread and OldestDue are how long the first of them waits; 0: none.
	OldestUnread, OldestDue time.Duration
}

// backlogReader collects the answers about one function.
type backlogReader struct {
	parked, due, runners *redis.IntCmd
	lacking              *redis.IntCmd
	first                *redis.ZSliceCmd
	groups               map[string]*redis.XInfoGroupsCmd // by stream
}

// ReadBacklog reads the backlog of a function that reads these event types: two
// round trips, and another one for each stream with unread entries.
func (s *Inspector) ReadBacklog(ctx context.Context, function string, eventTypes []string) (Backlog, error) {
	k := s.keys
	now, err := s.Now(ctx)
	if err != nil {
		return Backlog{}, fmt.Errorf("backlog of %s: %w", function, err)
	}
	ms := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	pipe := s.rdb.Pipeline()
	r := backlogReader{
		parked:  pipe.ZCard(ctx, k.Timers(function)),
		due:     pipe.ZCount(ctx, k.Timers(function), "-inf", ms(now)),
		runners: pipe.ZCount(ctx, k.Runners(function), ms(now.Add(-runnerSilence)), "+inf"),
		lacking: pipe.HLen(ctx, k.Lacking(function)),
		first:   pipe.ZRangeWithScores(ctx, k.Timers(function), 0, 0),
		groups:  map[string]*redis.XInfoGroupsCmd{},
	}
	for _, stream := range s.streamsOf(&Reads{Function: function, Types: eventTypes}) {
		r.groups[stream] = pipe.XInfoGroups(ctx, stream)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error; a missing stream is none
	for _, cmd := range []redis.Cmder{r.parked, r.due, r.runners, r.lacking, r.first} {
		if cmd.Err() != nil {
			return Backlog{}, fmt.Errorf("backlog of %s: %w", function, store.Explain(cmd.Err()))
		}
	}
	b := Backlog{Parked: r.parked.Val(), Due: r.due.Val(), Runners: r.runners.Val(), Lacking: r.lacking.Val()}
	if first := r.first.Val(); b.Due > 0 && len(first) > 0 {
		b.OldestDue = max(0, now.Sub(time.UnixMilli(int64(first[0].Score))))
	}
	for stream, cmd := range r.groups {
		if err := s.addUnread(ctx, &b, function, stream, cmd, now); err != nil {
			return Backlog{}, err
		}
	}
	return b, nil
}

// addUnread adds what a function has not read of a stream.
func (s *Inspector) addUnread(ctx context.Context, b *Backlog, function, stream string, cmd *redis.XInfoGroupsCmd, now time.Time) error {
	groups, err := cmd.Result()
	if store.FaultOf(err) == store.NoGroup {
		return nil
	}
	if err != nil {
		return fmt.Errorf("backlog of %s: %w", function, store.Explain(err))
	}
	for _, g := range groups {
		if g.Name != function {
			continue
		}
		n, err := s.unread(ctx, stream, g)
		if err != nil {
			return err
		}
		b.Unread += n
		b.InFlight += g.Pending
		if n == 0 {
			continue
		}
		first, err := s.rdb.XRangeN(ctx, stream, "("+g.LastDeliveredID, "+", 1).Result()
		if err != nil {
			return fmt.Errorf("backlog of %s: %w", function, store.Explain(err))
		}
		if len(first) > 0 {
			b.OldestUnread = max(b.OldestUnread, now.Sub(event.EntryTime(first[0].ID)))
		}
	}
	return nil
}
