package store

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Fallback is a durable list of entries that another database could not take.
type Fallback struct {
	conn *Conn
	key  string
}

// Fallback returns the list of that name.
func (c *Conn) Fallback(name string) *Fallback { return &Fallback{c, c.keys.Fallback(name)} }

// Append adds an entry.
func (f *Fallback) Append(ctx context.Context, key string, entry []byte) error {
	err := f.conn.rdb.XAdd(ctx, &redis.XAddArgs{Stream: f.key, Values: []any{"key", key, "entry", entry}}).Err()
	if err != nil {
		return fmt.Errorf("append to %s: %w", f.key, Explain(err))
	}
	return nil
}

// Drain calls fn for up to most entries, oldest first, and removes each that
// fn took without an error. It stops at the first error and returns how many
// were taken.
func (f *Fallback) Drain(ctx context.Context, most int, fn func(ctx context.Context, entry []byte) error) (int, error) {
	entries, err := f.conn.rdb.XRangeN(ctx, f.key, "-", "+", int64(most)).Result()
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", f.key, Explain(err))
	}
	for i, e := range entries {
		text, _ := e.Values["entry"].(string)
		if err := fn(ctx, []byte(text)); err != nil {
			return i, err
		}
		if err := f.conn.rdb.XDel(ctx, f.key, e.ID).Err(); err != nil {
			return i, fmt.Errorf("remove from %s: %w", f.key, Explain(err))
		}
	}
	return len(entries), nil
}

// Len returns how many entries there are.
func (f *Fallback) Len(ctx context.Context) (int64, error) {
	n, err := f.conn.rdb.XLen(ctx, f.key).Result()
	return n, Explain(err)
}
