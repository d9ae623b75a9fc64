package runs

import (
	"context"
	"time"
)

// Retention returns how long the events of a type are kept, and how many bytes
// of them; 0 bytes: no bound.
func (s *Store) Retention(ctx context.Context, eventType string) (period time.Duration, maxBytes int64, err error) {
	r, err := s.conn.Retention(ctx, eventType)
	return r.Period, r.MaxBytes, err
}

// Trim shortens the stream of an event type to its retention; see upkeep.
func (s *Store) Trim(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error {
	return s.upkeep.Trim(ctx, eventType, period, maxBytes)
}

// TrimHistory bounds the bytes of a function's history; see upkeep.
func (s *Store) TrimHistory(ctx context.Context, function string, maxBytes int64) error {
	return s.upkeep.TrimHistory(ctx, function, maxBytes)
}

// TidyCancels drops requests to cancel that came as their run ended; see acts.
func (s *Store) TidyCancels(ctx context.Context, function string) error {
	return s.acts.TidyCancels(ctx, function)
}
