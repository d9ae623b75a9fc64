package store

import (
	"context"
	"fmt"
	"time"
)

// SenderRate is the rate of a sender, over all gateways.
type SenderRate struct {
	Sender   string
	Interval time.Duration // between two events
	Burst    int
}

// TakeEvents takes up to n events of a sender's rate, and returns how many it
// got and the wait until there is another.
func (c *Conn) TakeEvents(ctx context.Context, r SenderRate, n int) (got int, wait time.Duration, err error) {
	return c.senderRate(ctx, r, n, "take")
}

// ReturnEvents gives back n events that were taken and not used.
func (c *Conn) ReturnEvents(ctx context.Context, r SenderRate, n int) error {
	_, _, err := c.senderRate(ctx, r, n, "return")
	return err
}

func (c *Conn) senderRate(ctx context.Context, r SenderRate, n int, mode string) (int, time.Duration, error) {
	reply, err := scripts.Run(ctx, c, "rate", []string{c.keys.SenderRate(r.Sender)}, max(1, r.Interval.Microseconds()), r.Burst, n, mode).Int64Slice()
	if err != nil || len(reply) != 2 {
		return 0, 0, fmt.Errorf("rate of a sender: %w", Explain(err))
	}
	return int(reply[0]), time.Duration(reply[1]) * time.Millisecond, nil
}
