package upkeep

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// EnsureGroups makes the consumer groups of a function that are not there, on its
// inbox and on the streams of event types, and the streams with them, and records
// that the function reads those. A group begins where one of the function stood
// before, else at the origin.
func (u *Upkeep) EnsureGroups(ctx context.Context, function string, origin store.Origin, eventTypes ...string) error {
	k := u.keys
	keys := []string{k.Inbox(function), k.Reads(function)}
	args := []any{function}
	for _, t := range eventTypes {
		keys = append(keys, k.Stream(t), k.Stood(t))
		args = append(args, t, origin.Of(t))
	}
	if err := u.run(ctx, "group", keys, args...).Err(); err != nil {
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
	n, err := u.run(ctx, "ungroup", []string{k.Stream(eventType), k.Reads(function), k.Waits(function), k.Stood(eventType)}, function, eventType, store.Flag(force)).Int()
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
	gone, err := u.run(ctx, "unstream", []string{k.Stream(eventType), k.Types(), k.Published(), k.Stood(eventType)}, eventType).Int()
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
