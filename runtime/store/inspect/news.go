package inspect

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

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
func (s *Inspector) HaveNews(ctx context.Context, sleepers []Sleeper) ([]bool, error) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	pipe := s.rdb.Pipeline()
	timers := make([]*redis.IntCmd, len(sleepers))
	read := map[string]map[string]string{} // by namespace, then stream: a command is about one slot of a cluster
	for i := range sleepers {
		l := &sleepers[i]
		if l.Leaving {
			timers[i] = pipe.ZCount(ctx, store.NewKeys(l.Namespace).Timers(l.Function), "-inf", now)
		}
		if read[l.Namespace] == nil {
			read[l.Namespace] = map[string]string{}
		}
		for stream, entry := range l.Read {
			if have, ok := read[l.Namespace][stream]; !ok || store.CompareEntries(entry, have) < 0 {
				read[l.Namespace][stream] = entry
			}
		}
	}
	news := askNews(ctx, pipe, read)
	if pipe.Len() == 0 {
		return make([]bool, len(sleepers)), nil
	}
	if _, err := pipe.Exec(ctx); store.FaultOf(err).General() {
		return nil, fmt.Errorf("look for news of %d functions: %w", len(sleepers), store.Explain(err))
	}
	newest := map[string]string{}
	for _, cmd := range news {
		for _, stream := range cmd.Val() {
			for _, entry := range stream.Messages {
				newest[stream.Stream] = entry.ID
			}
		}
	}
	has := make([]bool, len(sleepers))
	for i := range sleepers {
		has[i] = timers[i] != nil && timers[i].Val() > 0
		for stream, entry := range sleepers[i].Read {
			if id, ok := newest[stream]; ok && store.CompareEntries(id, entry) > 0 {
				has[i] = true
			}
		}
	}
	return has, nil
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
