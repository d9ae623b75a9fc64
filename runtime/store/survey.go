package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// In returns a Store for another namespace of the same Redis, on the same
// connections. Only the first one is closed.
func (s *Store) In(namespace string) *Store {
	return &Store{rdb: s.rdb, opts: s.opts, keys: NewKeys(namespace), log: s.log, scripts: s.scripts, traffic: s.traffic}
}

// Subject is a function that a survey looks at.
type Subject struct {
	Namespace, Function string
	// Types are the event types that it reads.
	Types []string
	// Scaled asks for what decides how many runners there shall be, too.
	Scaled bool
}

func (s *Subject) streams(k Keys) []string {
	streams := []string{k.Inbox(s.Function)}
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
	outlook               *outlookReader
}

// Survey reads the numbers of many functions, of any namespace, in one round
// trip; a second one is needed where the server does not know how far a group
// has read. The answer has one element for each subject.
func (s *Store) Survey(ctx context.Context, subjects []Subject) ([]Numbers, error) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	pipe := s.rdb.Pipeline()
	asked := make([]surveyed, len(subjects))
	groups := map[string]*redis.XInfoGroupsCmd{}
	clock := pipe.Time(ctx)
	for i := range subjects {
		k, f := NewKeys(subjects[i].Namespace), subjects[i].Function
		asked[i] = surveyed{
			waiting: pipe.ZCard(ctx, k.Timers(f)), due: pipe.ZCount(ctx, k.Timers(f), "-inf", now), runners: pipe.ZCard(ctx, k.Runners(f)),
			counters: pipe.HGetAll(ctx, k.Counters(f)), versions: pipe.HGetAll(ctx, k.Versions(f)), reads: pipe.SMembers(ctx, k.Reads(f)),
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
	if _, err := pipe.Exec(ctx); err != nil && TroubleOf(err) != Refused {
		return nil, fmt.Errorf("read the numbers of %d functions: %w", len(subjects), Explain(err))
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
	n.Err = Explain(errors.Join(a.waiting.Err(), a.counters.Err(), a.versions.Err(), a.reads.Err()))
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
	k := NewKeys(subject.Namespace)
	for _, stream := range subject.streams(k) {
		answer, err := groups[stream].Result()
		if err != nil && !strings.Contains(err.Error(), "no such key") {
			n.Err = errors.Join(n.Err, Explain(err))
			continue
		}
		at := slices.IndexFunc(answer, func(g redis.XInfoGroup) bool { return g.Name == subject.Function })
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
func (s *Store) countLags(ctx context.Context, unknown []lag) error {
	if len(unknown) == 0 {
		return nil
	}
	const most = 100
	pipe := s.rdb.Pipeline()
	entries := make([]*redis.XMessageSliceCmd, len(unknown))
	for i, l := range unknown {
		entries[i] = pipe.XRangeN(ctx, l.stream, "("+l.after, "+", most)
	}
	if _, err := pipe.Exec(ctx); err != nil && TroubleOf(err) != Refused {
		return fmt.Errorf("count what was not read of %d streams: %w", len(unknown), Explain(err))
	}
	for i, l := range unknown {
		l.of.Unread += int64(len(entries[i].Val()))
	}
	return nil
}

// Ends are the last runs of a function, newest first.
type Ends struct {
	// Runs are at most as many as were asked for.
	Runs []run.Record
	// LastFailure is the newest run that failed, nil when none is remembered.
	LastFailure *run.Record
}

// LastEnds reads the last runs of each function that ended, in one round trip.
func (s *Store) LastEnds(ctx context.Context, subjects []Subject, most int64) ([]Ends, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	done, dead := make([]*redis.XMessageSliceCmd, len(subjects)), make([]*redis.XMessageSliceCmd, len(subjects))
	for i, subject := range subjects {
		k := NewKeys(subject.Namespace)
		done[i] = pipe.XRevRangeN(ctx, k.Done(subject.Function), "+", "-", most)
		dead[i] = pipe.XRevRangeN(ctx, k.Dead(subject.Function), "+", "-", most)
	}
	if _, err := pipe.Exec(ctx); err != nil && TroubleOf(err) != Refused {
		return nil, fmt.Errorf("read the last runs of %d functions: %w", len(subjects), Explain(err))
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

func (s *Store) decodeEnds(function string, entries []redis.XMessage) []run.Record {
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

// CreateGroups creates the streams and the consumer groups that a survey found
// missing, in one round trip. The first error is returned; the other groups are
// created.
func (s *Store) CreateGroups(ctx context.Context, subject Subject, missing []string) error {
	k := NewKeys(subject.Namespace)
	pipe := s.rdb.Pipeline()
	for _, t := range missing {
		stream := k.Inbox(subject.Function)
		if t != "" {
			stream = k.Stream(t)
			pipe.SAdd(ctx, k.Reads(subject.Function), t)
		}
		pipe.XGroupCreateMkStream(ctx, stream, subject.Function, "0")
	}
	cmds, err := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
			return fmt.Errorf("make the consumer groups of %s: %w", subject.Function, Explain(err))
		}
	}
	if err != nil && len(cmds) == 0 {
		return fmt.Errorf("make the consumer groups of %s: %w", subject.Function, Explain(err))
	}
	return nil
}

// StreamRef names the stream of an event type.
type StreamRef struct{ Namespace, Type string }

// StreamState is a stream in numbers.
type StreamState struct {
	Length int64
	// Oldest and Newest are when the first and the last event were published;
	// zero when there is none.
	Oldest, Newest time.Time
	Bytes          int64
}

// SurveyStreams reads the state of streams in one round trip.
func (s *Store) SurveyStreams(ctx context.Context, refs []StreamRef) ([]StreamState, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	infos, sizes := make([]*redis.XInfoStreamCmd, len(refs)), make([]*redis.IntCmd, len(refs))
	for i, ref := range refs {
		stream := NewKeys(ref.Namespace).Stream(ref.Type)
		infos[i], sizes[i] = pipe.XInfoStream(ctx, stream), pipe.MemoryUsage(ctx, stream)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) && TroubleOf(err) != Refused {
		return nil, fmt.Errorf("look at %d streams: %w", len(refs), Explain(err))
	}
	all := make([]StreamState, len(refs))
	for i := range refs {
		info, err := infos[i].Result()
		if err != nil {
			continue // there is no such stream: nothing was published
		}
		all[i] = StreamState{Length: info.Length, Bytes: sizes[i].Val()}
		if info.Length > 0 {
			all[i].Oldest, all[i].Newest = event.EntryTime(info.FirstEntry.ID), event.EntryTime(info.LastEntry.ID)
		}
	}
	return all, nil
}

// MakeStream makes the stream of an event type that nothing was published to,
// and records its retention.
func (s *Store) MakeStream(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	stream := s.keys.Stream(eventType)
	const group = "wildout-operator"
	// A stream without a group or an entry cannot be: a group makes it, and goes.
	if n, err := s.rdb.Exists(ctx, stream).Result(); err != nil {
		return fmt.Errorf("look for the stream of %s: %w", eventType, Explain(err))
	} else if n == 0 {
		if err := s.EnsureGroup(ctx, group, stream); err != nil {
			return err
		}
		if err := s.rdb.XGroupDestroy(ctx, stream, group).Err(); err != nil {
			return fmt.Errorf("make the stream of %s: %w", eventType, Explain(err))
		}
	}
	return s.SetRetention(ctx, eventType, period, maxBytes)
}
