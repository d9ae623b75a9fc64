package inspect

import (
	"context"
	"fmt"
	"strconv"

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
// costs the server little: a few commands for the streams of a namespace, whoever
// and however many read them.
func (s *Inspector) HaveNews(ctx context.Context, sleepers []Sleeper) ([]bool, error) {
	if len(sleepers) == 0 {
		return nil, nil
	}
	now, err := s.conn.Clock(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for news of %d functions: %w", len(sleepers), err)
	}
	positions := positionsOf(sleepers)
	parts := inParts(positions, func(p position) string { return p.namespace }, streamsAtATime)
	cmds := make([]*redis.Cmd, len(parts))
	timers := make([]*redis.IntCmd, len(sleepers))
	err = scripts.Pipelined(ctx, s.conn, func(pipe redis.Pipeliner) {
		for i := range sleepers {
			if l := &sleepers[i]; l.Leaving {
				timers[i] = pipe.ZCount(ctx, store.NewKeys(l.Namespace).Timers(l.Function), "-inf", strconv.FormatInt(now.UnixMilli(), 10))
			}
		}
		for i, part := range parts {
			keys := make([]string, len(part))
			args := make([]any, len(part))
			for n, p := range part {
				keys[n] = p.stream
				args[n] = p.entry
			}
			cmds[i] = scripts.Queue(ctx, pipe, "newest", keys, args...)
		}
	})
	if store.FaultOf(err).General() {
		return nil, fmt.Errorf("look for news of %d functions: %w", len(sleepers), store.Explain(err))
	}
	newest := map[string]string{}
	for i, part := range parts {
		ids, _ := cmds[i].StringSlice()
		for n, id := range ids {
			newest[part[n].stream] = id
		}
	}
	has := make([]bool, len(sleepers))
	for i := range sleepers {
		has[i] = timers[i] != nil && timers[i].Val() > 0
		for stream, entry := range sleepers[i].Read {
			if id := newest[stream]; id != "" && store.CompareEntries(id, entry) > 0 {
				has[i] = true
			}
		}
	}
	return has, nil
}

// position is how far a stream was read, by who has read least.
type position struct{ namespace, stream, entry string }

func positionsOf(sleepers []Sleeper) []position {
	var all []position
	at := map[string]int{} // by stream, whose name has its namespace
	for i := range sleepers {
		for stream, entry := range sleepers[i].Read {
			n, ok := at[stream]
			switch {
			case !ok:
				at[stream] = len(all)
				all = append(all, position{sleepers[i].Namespace, stream, entry})
			case store.CompareEntries(entry, all[n].entry) < 0:
				all[n].entry = entry
			}
		}
	}
	return all
}
