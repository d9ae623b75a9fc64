package upkeep

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// Trim shortens the stream of an event type to its retention: by age, and by
// size when maxBytes is above 0, by about as much as is too much. It never
// removes an entry that a consumer group has not read or has not finished with.
func (u *Upkeep) Trim(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	stream := u.keys.Stream(eventType)
	surplus, err := u.surplus(ctx, stream, maxBytes)
	if err != nil {
		return err
	}
	if err := u.run(ctx, "trim", []string{stream}, period.Milliseconds(), surplus).Err(); err != nil {
		return fmt.Errorf("trim %s: %w", stream, store.Explain(err))
	}
	return nil
}

// nodeEntries is how many entries Redis keeps in a node of a stream, as a rule:
// it removes whole nodes only.
const nodeEntries = 100

// surplus is how many of the oldest entries of a stream make it too large; 0
// when it is not.
func (u *Upkeep) surplus(ctx context.Context, stream string, maxBytes int64) (int64, error) {
	over, err := u.excess(ctx, stream, maxBytes)
	if err != nil || over == 0 {
		return 0, err
	}
	length, err := u.rdb.XLen(ctx, stream).Result()
	if err != nil {
		return 0, fmt.Errorf("trim %s: %w", stream, store.Explain(err))
	}
	return max(nodeEntries, int64(float64(length)*over)), nil
}

// excess is the share of a stream's bytes that is beyond a bound; 0: none.
func (u *Upkeep) excess(ctx context.Context, stream string, maxBytes int64) (float64, error) {
	if maxBytes <= 0 {
		return 0, nil
	}
	used, err := u.rdb.MemoryUsage(ctx, stream).Result()
	switch {
	case store.FaultOf(err) == store.Absent:
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("trim %s: %w", stream, store.Explain(err))
	case used <= maxBytes:
		return 0, nil
	}
	return float64(used-maxBytes) / float64(used), nil
}

// TrimHistory bounds the bytes of a function's history; the count is bounded
// when it is written.
func (u *Upkeep) TrimHistory(ctx context.Context, function string, maxBytes int64) error {
	for _, stream := range []string{u.keys.Done(function), u.keys.Dead(function)} {
		over, err := u.excess(ctx, stream, maxBytes)
		if err != nil {
			return err
		}
		if over == 0 {
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
