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
)

// Outlook is what a function has before it: what decides how many runners there
// shall be, and when there shall be one again.
type Outlook struct {
	// At is when it was, by the clock of the server.
	At time.Time
	// NextDue is when the next timer is due; zero: there is none.
	NextDue time.Time
	// Queued counts the values of concurrency limits for which runs wait.
	Queued int64
	// Ticks are the last ticks of cron schedules, by plan.Trigger.Cron.
	Ticks map[string]time.Time
	// Waits are the event types that runs of any version may wait for: the
	// function reads them, too.
	Waits []string
	// Read is how far the function has read its streams: the last entry.
	Read map[string]string
}

// note keeps how far a stream was read, where that was asked for.
func (o *Outlook) note(stream, entry string) {
	if o.Read != nil {
		o.Read[stream] = entry
	}
}

// outlookReader are the commands that ask for an Outlook.
type outlookReader struct {
	next   *redis.ZSliceCmd
	queued *redis.IntCmd
	ticks  *redis.MapStringStringCmd
	waits  *redis.StringSliceCmd
}

func askOutlook(ctx context.Context, pipe redis.Pipeliner, k Keys, function string) *outlookReader {
	return &outlookReader{pipe.ZRangeWithScores(ctx, k.Timers(function), 0, 0), pipe.SCard(ctx, k.Queued(function)),
		pipe.HGetAll(ctx, k.Cron(function)), pipe.HKeys(ctx, k.Waits(function))}
}

// read fills in the outlook. The clock of the server has the last word on what
// is due: it is the one that runners go by.
func (r *outlookReader) read(n *Numbers, now time.Time) {
	n.Err = errors.Join(n.Err, Explain(errors.Join(r.next.Err(), r.queued.Err(), r.ticks.Err(), r.waits.Err())))
	o := &n.Outlook
	o.At, o.Queued, o.Ticks = now, r.queued.Val(), map[string]time.Time{}
	if first := r.next.Val(); len(first) > 0 && first[0].Score < noDue {
		o.NextDue = time.UnixMilli(int64(first[0].Score))
		if !o.NextDue.After(now) {
			n.Due = max(n.Due, 1)
		}
	}
	for schedule, tick := range r.ticks.Val() {
		if ms, err := strconv.ParseInt(tick, 10, 64); err == nil {
			o.Ticks[schedule] = time.UnixMilli(ms)
		}
	}
	for _, field := range r.waits.Val() {
		if t, _, _ := strings.Cut(field, " "); !slices.Contains(o.Waits, t) {
			o.Waits = append(o.Waits, t)
		}
	}
	slices.Sort(o.Waits)
}

// Sleeper is a function without runners.
type Sleeper struct {
	Namespace, Function string
	// Read is how far it has read its streams, as in its Outlook.
	Read map[string]string
	// Leaving: a runner ends, and may park runs until it has: timers are asked
	// for, too. Nobody else sets one.
	Leaving bool
}

// streamsAtATime bounds the streams that one command asks about, so that it
// holds up nobody else.
const streamsAtATime = 500

// HaveNews says which functions have something to read. It is one round trip and
// costs the server little: one command for the streams of a namespace, whoever
// and however many read them.
func (s *Store) HaveNews(ctx context.Context, sleepers []Sleeper) ([]bool, error) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	pipe := s.rdb.Pipeline()
	timers := make([]*redis.IntCmd, len(sleepers))
	read := map[string]map[string]string{} // by namespace, then stream: a command is about one slot of a cluster
	for i := range sleepers {
		l := &sleepers[i]
		if l.Leaving {
			timers[i] = pipe.ZCount(ctx, NewKeys(l.Namespace).Timers(l.Function), "-inf", now)
		}
		if read[l.Namespace] == nil {
			read[l.Namespace] = map[string]string{}
		}
		for stream, entry := range l.Read {
			if have, ok := read[l.Namespace][stream]; !ok || CompareEntries(entry, have) < 0 {
				read[l.Namespace][stream] = entry
			}
		}
	}
	news := askNews(ctx, pipe, read)
	if pipe.Len() == 0 {
		return make([]bool, len(sleepers)), nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) && TroubleOf(err) != Refused {
		return nil, fmt.Errorf("look for news of %d functions: %w", len(sleepers), Explain(err))
	}
	newest := map[string]string{}
	for _, cmd := range news {
		for _, stream := range cmd.Val() {
			for _, entry := range stream.Messages {
				newest[stream.Stream] = entry.ID
			}
		}
	}
	have := make([]bool, len(sleepers))
	for i := range sleepers {
		have[i] = timers[i] != nil && timers[i].Val() > 0
		for stream, entry := range sleepers[i].Read {
			if id, ok := newest[stream]; ok && CompareEntries(id, entry) > 0 {
				have[i] = true
			}
		}
	}
	return have, nil
}

// askNews asks for the first entry after those that were read.
func askNews(ctx context.Context, pipe redis.Pipeliner, read map[string]map[string]string) (news []*redis.XStreamSliceCmd) {
	for _, streams := range read {
		names := make([]string, 0, len(streams))
		for stream := range streams {
			names = append(names, stream)
		}
		for part := range slices.Chunk(names, streamsAtATime) {
			args := make([]string, len(part), 2*len(part))
			copy(args, part)
			for _, stream := range part {
				args = append(args, streams[stream])
			}
			news = append(news, pipe.XRead(ctx, &redis.XReadArgs{Streams: args, Count: 1, Block: -1}))
		}
	}
	return news
}
