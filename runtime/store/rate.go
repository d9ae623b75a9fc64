package store

import (
	"context"
	"fmt"
	"time"
)

// Rate is a rate, kept by GCRA at a key of Redis.
type Rate struct {
	Key      string
	Interval time.Duration // between two
	Burst    int
}

// TakeRate takes up to n of a rate, and returns how many it got and the wait
// until there is another.
func (c *Conn) TakeRate(ctx context.Context, r Rate, n int) (got int, wait time.Duration, err error) {
	return c.rate(ctx, r, n, "take")
}

// ReserveRate takes the next one that there is, however late, and returns the wait.
func (c *Conn) ReserveRate(ctx context.Context, r Rate) (time.Duration, error) {
	_, wait, err := c.rate(ctx, r, 1, "reserve")
	return wait, err
}

// ReturnRate gives back n that were taken and not used.
func (c *Conn) ReturnRate(ctx context.Context, r Rate, n int) error {
	_, _, err := c.rate(ctx, r, n, "return")
	return err
}

func (c *Conn) rate(ctx context.Context, r Rate, n int, mode string) (int, time.Duration, error) {
	reply, err := scripts.Run(ctx, c, "rate", []string{r.Key}, max(1, r.Interval.Microseconds()), r.Burst, n, mode).Int64Slice()
	if err != nil || len(reply) != 2 {
		return 0, 0, fmt.Errorf("rate %s: %w", r.Key, Explain(err))
	}
	return int(reply[0]), time.Duration(reply[1]) * time.Millisecond, nil
}

// SenderRate is the rate of a sender, over all gateways.
type SenderRate struct {
	Sender   string
	Interval time.Duration // between two events
	Burst    int
}

func (r *SenderRate) rate(k Keys) Rate {
	return Rate{Key: k.SenderRate(r.Sender), Interval: r.Interval, Burst: r.Burst}
}

// TakeEvents takes up to n events of a sender's rate, and returns how many it
// got and the wait until there is another.
func (c *Conn) TakeEvents(ctx context.Context, r SenderRate, n int) (got int, wait time.Duration, err error) {
	return c.TakeRate(ctx, r.rate(c.keys), n)
}

// ReturnEvents gives back n events that were taken and not used.
func (c *Conn) ReturnEvents(ctx context.Context, r SenderRate, n int) error {
	return c.ReturnRate(ctx, r.rate(c.keys), n)
}
