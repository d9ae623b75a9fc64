package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	Runners   int64 `json:"runners"`   // with a heartbeat in the last minute
}

// Backlog is what is there to be done: unread and due.
func (s Stats) Backlog() int64 { return s.Unread + s.Due }

// Subject is a function whose numbers are read.
type Subject struct {
	Namespace, Function string
	// Types are the event types that it reads.
	Types []string
	// Scaled asks for what decides how many runners there shall be, too.
	Scaled bool
	// Aged asks for how long what is unread or due waits, too.
	Aged bool
}

// streamsOf returns the streams of which a function has entries: its inbox, that
// of adopted runs, and those that it reads.
func streamsOf(k store.Keys, function string, types []string) []string {
	streams := append(make([]string, 0, 2+len(types)), k.Inbox(function), k.Adopted(function))
	for _, t := range types {
		streams = append(streams, k.Stream(t))
	}
	return streams
}

// Numbers are what is found of a function.
type Numbers struct {
	Stats
	// ByVersion counts the parked runs by the version that they began with.
	ByVersion map[string]int64
	// Missing are the event types, and "" for the inbox, without the
	// function's consumer group.
	Missing []string
	// Lacking are the runs that wait for code that no runner had.
	Lacking Lacking
	// Gone are event types that the function once read, and does not now.
	Gone []string
	// Outlook is there when Subject.Scaled was.
	Outlook Outlook
	// OldestUnread and OldestDue are how long the first of them waits; 0: there is
	// none, or Subject.Aged was not asked for.
	OldestUnread, OldestDue time.Duration
	// Err is what went wrong with this function alone.
	Err error
}

// Stats reads the numbers of a function that reads these event types.
func (s *Inspector) Stats(ctx context.Context, function string, eventTypes []string) (Stats, error) {
	all, err := s.StatsOf(ctx, []Reads{{Function: function, Types: eventTypes}})
	if err != nil {
		return Stats{}, fmt.Errorf("read numbers of %s: %w", function, err)
	}
	return all[0], nil
}

// StatsOf reads the numbers of functions of this namespace.
func (s *Inspector) StatsOf(ctx context.Context, functions []Reads) ([]Stats, error) {
	subjects := make([]Subject, len(functions))
	for i, f := range functions {
		subjects[i] = Subject{Namespace: s.conn.Namespace(), Function: f.Function, Types: f.Types}
	}
	numbers, err := s.Survey(ctx, subjects)
	if err != nil {
		return nil, err
	}
	all := make([]Stats, len(functions))
	for i := range numbers {
		if err := numbers[i].Err; err != nil {
			return nil, err
		}
		all[i] = numbers[i].Stats
	}
	return all, nil
}

// Survey is the one reading of numbers: of many functions, of any namespace, in
// one round trip. A second one is needed for ages, and where the server does not
// know how far a group has read. The answer has one element for each subject.
func (s *Inspector) Survey(ctx context.Context, subjects []Subject) ([]Numbers, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	now, err := s.conn.Clock(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the numbers of %d functions: %w", len(subjects), err)
	}
	pipe := s.rdb.Pipeline()
	clock := pipe.Time(ctx)
	asked := make([]surveyed, len(subjects))
	groups := map[string]*redis.XInfoGroupsCmd{}
	for i := range subjects {
		asked[i] = askNumbers(ctx, pipe, &subjects[i], now)
		for _, stream := range asked[i].streams {
			if groups[stream] == nil {
				groups[stream] = pipe.XInfoGroups(ctx, stream)
			}
		}
	}
	if _, err := pipe.Exec(ctx); store.FaultOf(err).General() {
		return nil, fmt.Errorf("read the numbers of %d functions: %w", len(subjects), store.Explain(err))
	}
	now = clock.Val()
	s.conn.NoteClock(now)
	all := make([]Numbers, len(subjects))
	var counts []count
	for i := range subjects {
		counts = append(counts, asked[i].read(&all[i], groups, now)...)
	}
	return all, s.count(ctx, counts, now)
}

// surveyed are the commands about one function.
type surveyed struct {
	subject               *Subject
	keys                  store.Keys
	streams               []string
	waiting, due, runners *redis.IntCmd
	counters, versions    *redis.MapStringStringCmd
	reads                 *redis.StringSliceCmd
	lacking               lackingReader
	next                  *redis.ZSliceCmd // the first timer; nil: not asked for
	outlook               *outlookReader   // nil: not asked for
}

func askNumbers(ctx context.Context, pipe redis.Pipeliner, subject *Subject, now time.Time) surveyed {
	k, f := store.NewKeys(subject.Namespace), subject.Function
	ms := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	a := surveyed{
		subject: subject, keys: k, streams: streamsOf(k, f, subject.Types),
		waiting:  pipe.ZCard(ctx, k.Timers(f)),
		due:      pipe.ZCount(ctx, k.Timers(f), "-inf", ms(now)),
		runners:  pipe.ZCount(ctx, k.Runners(f), ms(now.Add(-runnerSilence)), "+inf"),
		counters: pipe.HGetAll(ctx, k.Counters(f)),
		versions: pipe.HGetAll(ctx, k.Versions(f)),
		reads:    pipe.SMembers(ctx, k.Reads(f)),
		lacking:  askLacking(ctx, pipe, k, f),
	}
	if subject.Scaled || subject.Aged {
		a.next = pipe.ZRangeWithScores(ctx, k.Timers(f), 0, 0)
	}
	if subject.Scaled {
		a.outlook = askOutlook(ctx, pipe, k, f)
	}
	return a
}

// read fills in the numbers of a function, and returns what is still to be counted.
func (a *surveyed) read(n *Numbers, groups map[string]*redis.XInfoGroupsCmd, now time.Time) []count {
	n.Err = store.Explain(errors.Join(a.waiting.Err(), a.due.Err(), a.runners.Err(), a.counters.Err(), a.versions.Err(), a.reads.Err(), a.lacking.err()))
	n.Lacking = a.lacking.read()
	number := func(m map[string]string, name string) int64 { v, _ := strconv.ParseInt(m[name], 10, 64); return v }
	c := a.counters.Val()
	n.Stats = Stats{
		Waiting: a.waiting.Val(), Due: a.due.Val(), Runners: a.runners.Val(),
		Succeeded: number(c, "finished"), Failed: number(c, "failed"), Cancelled: number(c, "cancelled"),
		Dropped: number(c, "dropped"), Duplicate: number(c, "duplicate"),
	}
	n.ByVersion = map[string]int64{}
	for version := range a.versions.Val() {
		n.ByVersion[version] = number(a.versions.Val(), version)
	}
	for _, t := range a.reads.Val() {
		if !slices.Contains(a.subject.Types, t) {
			n.Gone = append(n.Gone, t)
		}
	}
	a.readNext(n, now)
	if a.outlook != nil {
		a.outlook.read(n, now)
	}
	return a.addGroups(n, groups)
}

// readNext reads when the first timer is due. The clock of the server has the last
// word on it: it is the one that runners go by.
func (a *surveyed) readNext(n *Numbers, now time.Time) {
	if a.next == nil {
		return
	}
	n.Err = errors.Join(n.Err, store.Explain(a.next.Err()))
	first := a.next.Val()
	if len(first) == 0 || first[0].Score >= noDue {
		return
	}
	next := time.UnixMilli(int64(first[0].Score))
	if a.outlook != nil {
		n.Outlook.NextDue = next
	}
	if !next.After(now) {
		n.Due = max(n.Due, 1)
		n.OldestDue = now.Sub(next)
	}
}

// addGroups adds up the groups of a function, and returns those of which the
// server does not know how much they have to read, or not since when it waits.
func (a *surveyed) addGroups(n *Numbers, groups map[string]*redis.XInfoGroupsCmd) (counts []count) {
	for _, stream := range a.streams {
		answer, err := groups[stream].Result()
		if err != nil && store.FaultOf(err) != store.NoGroup {
			n.Err = errors.Join(n.Err, store.Explain(err))
			continue
		}
		at := slices.IndexFunc(answer, func(g redis.XInfoGroup) bool { return g.Name == a.subject.Function })
		if at < 0 && stream == a.keys.Adopted(a.subject.Function) {
			continue // nothing was adopted yet
		}
		if at < 0 {
			n.Missing = append(n.Missing, a.keys.StreamType(stream))
			n.Outlook.note(stream, "0-0") // where the group begins that is made now
			continue
		}
		g := answer[at]
		n.Pending += g.Pending
		n.Outlook.note(stream, g.LastDeliveredID)
		// The server's count is missing after some deletions, and the Redis that is
		// built into `wildout dev` counts the whole stream; both say so by not knowing
		// how many entries were read.
		known := g.Lag == 0 || g.Lag > 0 && g.EntriesRead > 0
		if known {
			n.Unread += g.Lag
		}
		if !known || a.subject.Aged && g.Lag > 0 {
			counts = append(counts, count{of: n, namespace: a.subject.Namespace, stream: stream, after: g.LastDeliveredID, known: known, aged: a.subject.Aged})
		}
	}
	return counts
}
