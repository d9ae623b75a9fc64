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

// Subject is a function that a survey looks at.
type Subject struct {
	Namespace, Function string
	// Types are the event types that it reads.
	Types []string
	// Scaled asks for what decides how many runners there shall be, too.
	Scaled bool
}

func (s *Subject) streams(k store.Keys) []string {
	streams := []string{k.Inbox(s.Function), k.Adopted(s.Function)}
	for _, t := range s.Types {
		streams = append(streams, k.Stream(t))
	}
	return streams
}

// Numbers are what a survey finds of a function.
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
	// Err is what went wrong with this function alone.
	Err error
}

// surveyed are the commands of one function.
type surveyed struct {
	waiting, due, runners *redis.IntCmd
	counters, versions    *redis.MapStringStringCmd
	reads                 *redis.StringSliceCmd
	lacking               lackingReader
	outlook               *outlookReader
}

// Survey reads the numbers of many functions, of any namespace, in one round
// trip; a second one is needed where the server does not know how far a group
// has read. The answer has one element for each subject.
func (s *Inspector) Survey(ctx context.Context, subjects []Subject) ([]Numbers, error) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	pipe := s.rdb.Pipeline()
	asked := make([]surveyed, len(subjects))
	groups := map[string]*redis.XInfoGroupsCmd{}
	clock := pipe.Time(ctx)
	for i := range subjects {
		k, f := store.NewKeys(subjects[i].Namespace), subjects[i].Function
		asked[i] = surveyed{
			waiting: pipe.ZCard(ctx, k.Timers(f)), due: pipe.ZCount(ctx, k.Timers(f), "-inf", now), runners: pipe.ZCard(ctx, k.Runners(f)),
			counters: pipe.HGetAll(ctx, k.Counters(f)), versions: pipe.HGetAll(ctx, k.Versions(f)), reads: pipe.SMembers(ctx, k.Reads(f)),
			lacking: askLacking(ctx, pipe, k, f),
		}
		if subjects[i].Scaled {
			asked[i].outlook = askOutlook(ctx, pipe, k, f)
		}
		for _, stream := range subjects[i].streams(k) {
			if groups[stream] == nil {
				groups[stream] = pipe.XInfoGroups(ctx, stream)
			}
		}
	}
	if _, err := pipe.Exec(ctx); store.FaultOf(err).General() {
		return nil, fmt.Errorf("read the numbers of %d functions: %w", len(subjects), store.Explain(err))
	}
	all := make([]Numbers, len(subjects))
	var unknown []lag
	for i := range subjects {
		all[i] = asked[i].numbers(&subjects[i])
		if subjects[i].Scaled {
			all[i].Outlook.Read = map[string]string{}
		}
		for _, l := range all[i].addGroups(&subjects[i], groups) {
			l.of = &all[i]
			unknown = append(unknown, l)
		}
		if o := asked[i].outlook; o != nil {
			o.read(&all[i], clock.Val())
		}
	}
	return all, s.countLags(ctx, unknown)
}

func (a *surveyed) numbers(subject *Subject) Numbers {
	n := Numbers{ByVersion: map[string]int64{}}
	n.Err = store.Explain(errors.Join(a.waiting.Err(), a.counters.Err(), a.versions.Err(), a.reads.Err(), a.lacking.err()))
	n.Lacking = a.lacking.read()
	count := func(m map[string]string, name string) int64 { v, _ := strconv.ParseInt(m[name], 10, 64); return v }
	c := a.counters.Val()
	n.Stats = Stats{Waiting: a.waiting.Val(), Due: a.due.Val(), Runners: a.runners.Val(), Succeeded: count(c, "finished"),
		Failed: count(c, "failed"), Dropped: count(c, "dropped"), Duplicate: count(c, "duplicate")}
	for version := range a.versions.Val() {
		n.ByVersion[version] = count(a.versions.Val(), version)
	}
	for _, t := range a.reads.Val() {
		if !slices.Contains(subject.Types, t) {
			n.Gone = append(n.Gone, t)
		}
	}
	return n
}

// lag is a group of which the server does not know how much it has to read.
type lag struct {
	of            *Numbers
	stream, after string
}

// addGroups adds up the groups of a function, and returns those of which the
// server does not know the lag.
func (n *Numbers) addGroups(subject *Subject, groups map[string]*redis.XInfoGroupsCmd) (unknown []lag) {
	k := store.NewKeys(subject.Namespace)
	for _, stream := range subject.streams(k) {
		answer, err := groups[stream].Result()
		if err != nil && store.FaultOf(err) != store.NoGroup {
			n.Err = errors.Join(n.Err, store.Explain(err))
			continue
		}
		at := slices.IndexFunc(answer, func(g redis.XInfoGroup) bool { return g.Name == subject.Function })
		if at < 0 && stream == k.Adopted(subject.Function) {
			continue // nothing was adopted yet
		}
		if at < 0 {
			n.Missing = append(n.Missing, k.StreamType(stream))
			n.Outlook.note(stream, "0-0") // where the group begins that is made now
			continue
		}
		g := answer[at]
		n.Pending += g.Pending
		n.Outlook.note(stream, g.LastDeliveredID)
		if g.Lag == 0 || g.Lag > 0 && g.EntriesRead > 0 {
			n.Unread += g.Lag
		} else {
			unknown = append(unknown, lag{stream: stream, after: g.LastDeliveredID})
		}
	}
	return unknown
}

// countLags counts what the server does not: up to a bound that is enough to
// know that there is much.
func (s *Inspector) countLags(ctx context.Context, unknown []lag) error {
	if len(unknown) == 0 {
		return nil
	}
	const most = 100
	pipe := s.rdb.Pipeline()
	entries := make([]*redis.XMessageSliceCmd, len(unknown))
	for i, l := range unknown {
		entries[i] = pipe.XRangeN(ctx, l.stream, "("+l.after, "+", most)
	}
	if _, err := pipe.Exec(ctx); store.FaultOf(err).General() {
		return fmt.Errorf("count what was not read of %d streams: %w", len(unknown), store.Explain(err))
	}
	for i, l := range unknown {
		l.of.Unread += int64(len(entries[i].Val()))
	}
	return nil
}
