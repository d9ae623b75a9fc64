package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// DropGroup removes the consumer group of a function from the stream of an
// event type that it does not read any more, and says whether it did: not
// while something is pending, or a run may wait for such an event.
func (s *Store) DropGroup(ctx context.Context, function, eventType string) (bool, error) {
	return s.dropGroup(ctx, function, eventType, false)
}

func (s *Store) dropGroup(ctx context.Context, function, eventType string, force bool) (bool, error) {
	k := s.keys
	n, err := s.run(ctx, "ungroup", []string{k.Stream(eventType), k.Reads(function), k.Waits(function)}, function, eventType, flag(force)).Int()
	if err != nil {
		return false, fmt.Errorf("remove the consumer group of %s from %s: %w", function, eventType, Explain(err))
	}
	return n == 1, nil
}

// Uninstall removes everything that a function has in Redis: its consumer
// groups, runs, timers, waits, limits and history. Its runners must be gone:
// they would make some of it anew. What is left after an error goes with the
// next call.
func (s *Store) Uninstall(ctx context.Context, function string) error {
	types, err := s.rdb.SMembers(ctx, s.keys.Reads(function)).Result()
	if err != nil {
		return fmt.Errorf("look up what %s has read: %w", function, Explain(err))
	}
	if err := s.rdb.HDel(ctx, s.keys.Functions(), function).Err(); err != nil {
		return fmt.Errorf("remove %s from the list of functions: %w", function, Explain(err))
	}
	for _, t := range types {
		if _, err := s.dropGroup(ctx, function, t, true); err != nil {
			return err
		}
	}
	return s.removeKeys(ctx, s.keys.fn(function, ""))
}

// DropStream removes the stream of an event type, unless a function reads it,
// and what was recorded of its retention and of the ids of its events: an event
// that comes later is a new one.
func (s *Store) DropStream(ctx context.Context, eventType string) error {
	k := s.keys
	gone, err := s.run(ctx, "unstream", []string{k.Stream(eventType), k.Types(), k.Published()}, eventType).Int()
	if err != nil {
		return fmt.Errorf("remove the stream of %s: %w", eventType, Explain(err))
	}
	if gone == 0 {
		return nil
	}
	return s.removeKeys(ctx, k.EventID(eventType, ""))
}

// removeKeys removes the keys that begin with prefix, which has the hash tag
// of the namespace: all of them are on one node.
func (s *Store) removeKeys(ctx context.Context, prefix string) error {
	var node redis.Cmdable = s.rdb
	if cluster, ok := s.rdb.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, prefix)
		if err != nil {
			return fmt.Errorf("find the node with the keys %s: %w", prefix, Explain(err))
		}
		node = master
	}
	const page = 1000
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, globLiteral(prefix)+"*", page).Result()
		if err == nil && len(keys) > 0 {
			err = node.Unlink(ctx, keys...).Err()
		}
		if err != nil {
			return fmt.Errorf("remove the keys %s: %w", prefix, Explain(err))
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// globLiteral escapes what SCAN would take for a pattern.
func globLiteral(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(text)
}
