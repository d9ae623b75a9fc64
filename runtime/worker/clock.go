package worker

import (
	"sync/atomic"
	"time"
)

// clock is the server's clock: due times are compared with it, on whatever
// machine they were made. It is what a heartbeat told, and how long that is ago by
// the monotonic clock: the wall clock of this machine may jump.
type clock struct {
	// elapsed is the monotonic clock: the time since some moment.
	elapsed func() time.Duration
	read    atomic.Pointer[reading] // the heartbeat writes it
	// trip is how long the heartbeat took that read is from: it is not known better
	// than that. Only the heartbeat uses it.
	trip time.Duration
}

// reading is what the server's clock showed at a moment of the monotonic one.
type reading struct {
	server time.Time
	at     time.Duration
}

// newClock returns a clock that measures by the one of this machine.
func newClock(local func() time.Time) *clock {
	began := local()
	c := &clock{elapsed: func() time.Duration { return local().Sub(began) }}
	c.read.Store(&reading{server: began})
	return c
}

// now is the time of the server.
func (c *clock) now() time.Time {
	r := c.read.Load()
	return r.server.Add(c.elapsed() - r.at)
}

// set takes in what the server's clock showed in a round trip that began at sent.
// Half of it is the best guess of when. A slow one is a bad guess, and counts
// only where the clocks have moved by more than both can be wrong, or when no
// better one comes for a while.
func (c *clock) set(server time.Time, sent time.Duration, first bool) {
	took := c.elapsed() - sent
	at := sent + took/2
	last := c.read.Load()
	off := server.Sub(last.server.Add(at - last.at)).Abs()
	if !first && took > c.trip && off <= took+c.trip {
		c.trip *= 2
		return
	}
	c.trip = max(took, time.Millisecond)
	c.read.Store(&reading{server: server, at: at})
}
