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
// size when maxBytes is above 0, by about as much as is too much. It never
// removes an entry that a consumer group has not read or has not finished with.
func (s *Store) Trim(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	stream := s.keys.Stream(eventType)
	surplus, err := s.surplus(ctx, stream, maxBytes)
	if err != nil {
		return err
	}
	if err := s.run(ctx, "trim", []string{stream}, period.Milliseconds(), surplus).Err(); err != nil {
		return fmt.Errorf("trim %s: %w", stream, Explain(err))
	}
	return nil
}

// nodeEntries is how many entries Redis keeps in a node of a stream, as a rule:
// it removes whole nodes only.
const nodeEntries = 100

// surplus is how many of the oldest entries of a stream make it too large; 0
// when it is not.
func (s *Store) surplus(ctx context.Context, stream string, maxBytes int64) (int64, error) {
	over, err := s.excess(ctx, stream, maxBytes)
	if err != nil || over == 0 {
		return 0, err
	}
	length, err := s.rdb.XLen(ctx, stream).Result()
	if err != nil {
		return 0, fmt.Errorf("trim %s: %w", stream, Explain(err))
	}
	return max(nodeEntries, int64(float64(length)*over)), nil
}

// excess is the share of a stream's bytes that is beyond a bound; 0: none.
func (s *Store) excess(ctx context.Context, stream string, maxBytes int64) (float64, error) {
	if maxBytes <= 0 {
		return 0, nil
	}
	used, err := s.rdb.MemoryUsage(ctx, stream).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("trim %s: %w", stream, Explain(err))
	case used <= maxBytes:
		return 0, nil
	}
	return float64(used-maxBytes) / float64(used), nil
}

// TrimHistory bounds the bytes of a function's history; the count is bounded
// when it is written.
func (s *Store) TrimHistory(ctx context.Context, function string, maxBytes int64) error {
	for _, stream := range []string{s.keys.Done(function), s.keys.Dead(function)} {
		over, err := s.excess(ctx, stream, maxBytes)
		if err != nil {
			return err
		}
		if over == 0 {
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
