package store

import (
	"context"
	"sync/atomic"
	"time"
)

// serverClock knows how far the clock of the server is from that of this machine.
type serverClock struct {
	local func() time.Time
	ahead atomic.Pointer[time.Duration] // nil: it was not read yet
}

// note takes in what the server's clock shows now.
func (s *serverClock) note(server time.Time) {
	ahead := server.Sub(s.local())
	s.ahead.Store(&ahead)
}

// Now asks the server for its clock.
func (c *Conn) Now(ctx context.Context) (time.Time, error) {
	t, err := c.rdb.Time(ctx).Result()
	if err == nil {
		c.clock.note(t)
	}
	return t, Explain(err)
}

// Clock returns what the server's clock shows, by how far it was from this
// machine's when it was last read: what is due and who lives is judged by it.
// It is a round trip the first time alone.
func (c *Conn) Clock(ctx context.Context) (time.Time, error) {
	if ahead := c.clock.ahead.Load(); ahead != nil {
		return c.clock.local().Add(*ahead), nil
	}
	return c.Now(ctx)
}

// Local returns what the clock of this machine shows, to measure by.
func (c *Conn) Local() time.Time { return c.clock.local() }

// NoteClock takes in what the server's clock has just shown, in a pipeline.
func (c *Conn) NoteClock(server time.Time) { c.clock.note(server) }
