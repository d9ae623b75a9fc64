package upkeep

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

// Trim shortens the stream of an event type to its retention: by age, and by
// size when maxBytes is above 0. It never removes an entry that a consumer
// group has not read or has not finished with.
func (u *Upkeep) Trim(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	stream := u.keys.Stream(eventType)
	groups, err := u.groups(ctx, stream)
	if err != nil {
		return fmt.Errorf("trim %s: %w", stream, err)
	}
	now, err := u.conn.Now(ctx)
	if err != nil {
		return fmt.Errorf("trim %s: %w", stream, err)
	}
	needed := ""
	for _, g := range groups {
		oldest := g.LastDeliveredID
		if g.Pending > 0 {
			p, err := u.rdb.XPending(ctx, stream, g.Name).Result()
			if err != nil {
				return fmt.Errorf("trim %s: %w", stream, store.Explain(err))
			}
			oldest = p.Lower
		}
		if needed == "" || store.CompareEntries(oldest, needed) < 0 {
			needed = oldest
		}
	}
	cut := strconv.FormatInt(now.Add(-period).UnixMilli(), 10) + "-0"
	if over, err := u.tooLarge(ctx, stream, maxBytes); err != nil {
		return err
	} else if over && needed != "" {
		cut = needed
	}
	if needed != "" && store.CompareEntries(needed, cut) < 0 {
		cut = needed
	}
	return store.Explain(u.rdb.XTrimMinIDApprox(ctx, stream, cut, 0).Err())
}

func (u *Upkeep) tooLarge(ctx context.Context, stream string, maxBytes int64) (bool, error) {
	if maxBytes <= 0 {
		return false, nil
	}
	used, err := u.rdb.MemoryUsage(ctx, stream).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return used > maxBytes, store.Explain(err)
}

func (u *Upkeep) groups(ctx context.Context, stream string) ([]redis.XInfoGroup, error) {
	groups, err := u.rdb.XInfoGroups(ctx, stream).Result()
	if store.IsMissing(err) {
		return nil, nil
	}
	return groups, store.Explain(err)
}

// TrimHistory bounds the bytes of a function's history; the count is bounded
// when it is written.
func (u *Upkeep) TrimHistory(ctx context.Context, function string, maxBytes int64) error {
	for _, stream := range []string{u.keys.Done(function), u.keys.Dead(function)} {
		over, err := u.tooLarge(ctx, stream, maxBytes)
		if err != nil || !over {
			if err != nil {
				return fmt.Errorf("trim %s: %w", stream, err)
			}
			continue
		}
		length, err := u.rdb.XLen(ctx, stream).Result()
		if err != nil {
			return fmt.Errorf("trim %s: %w", stream, store.Explain(err))
		}
		if err := u.rdb.XTrimMaxLen(ctx, stream, length*3/4).Err(); err != nil {
			return fmt.Errorf("trim %s: %w", stream, store.Explain(err))
		}
	}
	return nil
}
