package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Trim shortens the stream of an event type to its retention: by age, and by
// size when maxBytes is above 0. It never removes an entry that a consumer
// group has not read or has not finished with.
func (s *Store) Trim(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	stream := s.keys.Stream(eventType)
	groups, err := s.Groups(ctx, eventType)
	if err != nil {
		return fmt.Errorf("trim %s: %w", stream, err)
	}
	now, err := s.Now(ctx)
	if err != nil {
		return fmt.Errorf("trim %s: %w", stream, err)
	}
	needed := ""
	for _, g := range groups {
		oldest := g.LastDeliveredID
		if g.Pending > 0 {
			p, err := s.rdb.XPending(ctx, stream, g.Name).Result()
			if err != nil {
				return fmt.Errorf("trim %s: %w", stream, Explain(err))
			}
			oldest = p.Lower
		}
		if needed == "" || CompareEntries(oldest, needed) < 0 {
			needed = oldest
		}
	}
	cut := strconv.FormatInt(now.Add(-period).UnixMilli(), 10) + "-0"
	if over, err := s.tooLarge(ctx, stream, maxBytes); err != nil {
		return err
	} else if over && needed != "" {
		cut = needed
	}
	if needed != "" && CompareEntries(needed, cut) < 0 {
		cut = needed
	}
	return Explain(s.rdb.XTrimMinIDApprox(ctx, stream, cut, 0).Err())
}

func (s *Store) tooLarge(ctx context.Context, stream string, maxBytes int64) (bool, error) {
	if maxBytes <= 0 {
		return false, nil
	}
	used, err := s.rdb.MemoryUsage(ctx, stream).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return used > maxBytes, Explain(err)
}

// TrimHistory bounds the bytes of a function's history; the count is bounded
// when it is written.
func (s *Store) TrimHistory(ctx context.Context, function string, maxBytes int64) error {
	for _, stream := range []string{s.keys.Done(function), s.keys.Dead(function)} {
		over, err := s.tooLarge(ctx, stream, maxBytes)
		if err != nil || !over {
			if err != nil {
				return fmt.Errorf("trim %s: %w", stream, err)
			}
			continue
		}
		length, err := s.rdb.XLen(ctx, stream).Result()
		if err != nil {
			return fmt.Errorf("trim %s: %w", stream, Explain(err))
		}
		if err := s.rdb.XTrimMaxLen(ctx, stream, length*3/4).Err(); err != nil {
			return fmt.Errorf("trim %s: %w", stream, Explain(err))
		}
	}
	return nil
}

// CompareEntries compares two entry ids (ms-sequence): -1, 0 or 1.
func CompareEntries(a, b string) int {
	am, as := splitEntry(a)
	bm, bs := splitEntry(b)
	if c := cmp.Compare(am, bm); c != 0 {
		return c
	}
	return cmp.Compare(as, bs)
}

func splitEntry(id string) (ms, seq uint64) {
	head, tail, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(head, 10, 64)
	seq, _ = strconv.ParseUint(tail, 10, 64)
	return ms, seq
}

// SetRetention records the retention of an event type for the runners, which
// do the trimming.
func (s *Store) SetRetention(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	value := fmt.Sprintf("%d %d", period.Milliseconds(), maxBytes)
	return Explain(s.rdb.HSet(ctx, s.keys.Types(), eventType, value).Err())
}

// Retention returns what SetRetention recorded, or the default of 72 hours.
func (s *Store) Retention(ctx context.Context, eventType string) (time.Duration, int64, error) {
	text, err := s.rdb.HGet(ctx, s.keys.Types(), eventType).Result()
	if errors.Is(err, redis.Nil) {
		return 72 * time.Hour, 0, nil
	}
	if err != nil {
		return 0, 0, Explain(err)
	}
	var ms, bytes int64
	if _, err := fmt.Sscan(text, &ms, &bytes); err != nil {
		return 72 * time.Hour, 0, nil //nolint:nilerr // a damaged value must not stop the trimming
	}
	return time.Duration(ms) * time.Millisecond, bytes, nil
}
