package store

import (
	"context"
	"fmt"
	"time"
)

// Retention is how long the events of a type are kept, and how many bytes of
// them; 0 bytes: no bound.
type Retention struct {
	Period   time.Duration
	MaxBytes int64
}

// DefaultRetention is that of event types that nobody declared.
var DefaultRetention = Retention{Period: 72 * time.Hour}

// SetRetention records the retention of an event type for those who trim its
// stream.
func (c *Conn) SetRetention(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	value := fmt.Sprintf("%d %d", period.Milliseconds(), maxBytes)
	return Explain(c.rdb.HSet(ctx, c.keys.Types(), eventType, value).Err())
}

// Retention returns what SetRetention recorded, or the default.
func (c *Conn) Retention(ctx context.Context, eventType string) (Retention, error) {
	text, err := c.rdb.HGet(ctx, c.keys.Types(), eventType).Result()
	if FaultOf(err) == Absent {
		return DefaultRetention, nil
	}
	if err != nil {
		return Retention{}, Explain(err)
	}
	var ms, bytes int64
	if _, err := fmt.Sscan(text, &ms, &bytes); err != nil {
		return DefaultRetention, nil //nolint:nilerr // a damaged value must not stop the trimming
	}
	return Retention{Period: time.Duration(ms) * time.Millisecond, MaxBytes: bytes}, nil
}
