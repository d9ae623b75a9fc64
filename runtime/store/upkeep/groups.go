package upkeep

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// CreateGroups creates the consumer groups of a function on the streams of event
// types, "" for its inbox, and the streams with them, in one round trip. The
// first error is returned; the other groups are created.
func (u *Upkeep) CreateGroups(ctx context.Context, function string, eventTypes []string) error {
	k := u.keys
	pipe := u.rdb.Pipeline()
	for _, t := range eventTypes {
		stream := k.Inbox(function)
		if t != "" {
			stream = k.Stream(t)
			pipe.SAdd(ctx, k.Reads(function), t)
		}
		pipe.XGroupCreateMkStream(ctx, stream, function, "0")
	}
	cmds, err := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && store.FaultOf(err) != store.GroupExists {
			return fmt.Errorf("make the consumer groups of %s: %w", function, store.Explain(err))
		}
	}
	if err != nil && len(cmds) == 0 {
		return fmt.Errorf("make the consumer groups of %s: %w", function, store.Explain(err))
	}
	return nil
}

// MakeStream makes the stream of an event type that nothing was published to,
// and records its retention.
func (u *Upkeep) MakeStream(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	stream := u.keys.Stream(eventType)
	const group = "wildout-operator"
	// A stream without a group or an entry cannot be: a group makes it, and goes.
	if n, err := u.rdb.Exists(ctx, stream).Result(); err != nil {
		return fmt.Errorf("look for the stream of %s: %w", eventType, store.Explain(err))
	} else if n == 0 {
		if err := u.rdb.XGroupCreateMkStream(ctx, stream, group, "0").Err(); err != nil {
			return err
		}
		if err := u.rdb.XGroupDestroy(ctx, stream, group).Err(); err != nil {
			return fmt.Errorf("make the stream of %s: %w", eventType, store.Explain(err))
		}
	}
	return u.conn.SetRetention(ctx, eventType, period, maxBytes)
}

// DropGroup removes the consumer group of a function from the stream of an
// event type that it does not read any more, and says whether it did: not
// while something is pending, or a run may wait for such an event.
func (u *Upkeep) DropGroup(ctx context.Context, function, eventType string) (bool, error) {
	return u.dropGroup(ctx, function, eventType, false)
}

func (u *Upkeep) dropGroup(ctx context.Context, function, eventType string, force bool) (bool, error) {
	k := u.keys
	n, err := u.run(ctx, "ungroup", []string{k.Stream(eventType), k.Reads(function), k.Waits(function)}, function, eventType, store.Flag(force)).Int()
	if err != nil {
		return false, fmt.Errorf("remove the consumer group of %s from %s: %w", function, eventType, store.Explain(err))
	}
	return n == 1, nil
}

// DropStream removes the stream of an event type, unless a function reads it,
// and what was recorded of its retention and of the ids of its events: an event
// that comes later is a new one.
func (u *Upkeep) DropStream(ctx context.Context, eventType string) error {
	k := u.keys
	gone, err := u.run(ctx, "unstream", []string{k.Stream(eventType), k.Types(), k.Published()}, eventType).Int()
	if err != nil {
		return fmt.Errorf("remove the stream of %s: %w", eventType, store.Explain(err))
	}
	if gone == 0 {
		return nil
	}
	return u.removeKeys(ctx, k.EventID(eventType, ""))
}

// Uninstall removes everything that a function has in Redis: its consumer
// groups, runs, timers, waits, limits and history. Steps of other functions that
// wait for one of its runs fail, and are told so. Its runners must be gone: they
// would make some of it anew. What is left after an error goes with the
// next call.
func (u *Upkeep) Uninstall(ctx context.Context, function string) error {
	types, err := u.rdb.SMembers(ctx, u.keys.Reads(function)).Result()
	if err != nil {
		return fmt.Errorf("look up what %s has read: %w", function, store.Explain(err))
	}
	if err := u.rdb.HDel(ctx, u.keys.Functions(), function).Err(); err != nil {
		return fmt.Errorf("remove %s from the list of functions: %w", function, store.Explain(err))
	}
	for _, t := range types {
		if _, err := u.dropGroup(ctx, function, t, true); err != nil {
			return err
		}
	}
	if err := u.endInvoked(ctx, function); err != nil {
		return err
	}
	return u.removeKeys(ctx, u.keys.Function(function))
}

// removeKeys removes the keys that begin with prefix.
func (u *Upkeep) removeKeys(ctx context.Context, prefix string) error {
	return u.eachKey(ctx, prefix, func(keys []string) error {
		if err := u.rdb.Unlink(ctx, keys...).Err(); err != nil {
			return fmt.Errorf("remove the keys %s: %w", prefix, store.Explain(err))
		}
		return nil
	})
}
