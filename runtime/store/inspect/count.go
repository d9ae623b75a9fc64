package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// count is a part of a stream, after an entry, that is to be counted.
type count struct {
	of                       *Numbers
	namespace, stream, after string
	known                    bool // how much it is: what is asked is since when it waits
	aged                     bool
}

// enough is how many entries are counted: enough to know that there is much.
const enough = 1000

// countsAtATime bounds the streams that one script counts, so that it holds up
// nobody else.
const countsAtATime = 50

// count counts what the server does not, in one round trip.
func (s *Inspector) count(ctx context.Context, counts []count, now time.Time) error {
	if len(counts) == 0 {
		return nil
	}
	parts := inParts(counts, func(c count) string { return c.namespace }, countsAtATime)
	cmds := make([]*redis.Cmd, len(parts))
	err := scripts.Pipelined(ctx, s.conn, func(pipe redis.Pipeliner) {
		for i, part := range parts {
			keys := make([]string, len(part))
			args := make([]any, 1, 1+len(part))
			args[0] = enough
			for n, c := range part {
				keys[n] = c.stream
				args = append(args, c.after)
			}
			cmds[i] = scripts.Queue(ctx, pipe, "count", keys, args...)
		}
	})
	if store.FaultOf(err).General() {
		return fmt.Errorf("count what was not read of %d streams: %w", len(counts), store.Explain(err))
	}
	for i, part := range parts {
		rows, err := cmds[i].Slice()
		if err != nil || len(rows) != len(part) {
			return fmt.Errorf("count what was not read of %s and others: %w", part[0].stream, store.Explain(err))
		}
		for n := range part {
			part[n].read(rows[n], now)
		}
	}
	return nil
}

// read takes in the answer about one stream.
func (c *count) read(row any, now time.Time) {
	values, _ := row.([]any)
	if len(values) < 2 {
		return
	}
	n, _ := values[0].(int64)
	first, _ := values[1].(string)
	if !c.known {
		c.of.Unread += n
	}
	if c.aged && first != "" {
		c.of.OldestUnread = max(c.of.OldestUnread, now.Sub(event.EntryTime(first)))
	}
}

// inParts divides what is asked of scripts: a script is about one namespace,
// which is one node of a cluster, and about so much at the most.
func inParts[T any](all []T, namespace func(T) string, most int) (parts [][]T) {
	open := map[string]int{} // by namespace: the part that is not full
	for _, one := range all {
		name := namespace(one)
		at, ok := open[name]
		if !ok || len(parts[at]) == most {
			at = len(parts)
			open[name] = at
			parts = append(parts, nil)
		}
		parts[at] = append(parts[at], one)
	}
	return parts
}
