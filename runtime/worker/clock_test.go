package worker

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	server := time.UnixMilli(1_700_000_000_000)
	elapsed := time.Duration(0)
	c := newClock(time.Now)
	c.elapsed = func() time.Duration { return elapsed }
	want := func(name string, want time.Time) {
		t.Helper()
		if got := c.now(); !got.Equal(want) {
			t.Errorf("%s: %v is not %v: off by %v", name, got, want, got.Sub(want))
		}
	}
	// trip is a heartbeat that takes that long; the server's clock is read half-way.
	trip := func(showed time.Time, took time.Duration, first bool) {
		sent := elapsed
		elapsed += took
		c.set(showed, sent, first)
	}
	trip(server, 10*time.Millisecond, true)
	want("after the first heartbeat", server.Add(5*time.Millisecond))
	elapsed += time.Hour
	want("an hour later", server.Add(time.Hour+5*time.Millisecond))

	trip(server.Add(time.Hour+100*time.Millisecond), 400*time.Millisecond, false)
	want("a slow one that tells nothing new is a bad guess", server.Add(time.Hour+405*time.Millisecond))
	trip(server.Add(time.Hour+407*time.Millisecond), 2*time.Millisecond, false)
	want("a quick one counts", server.Add(time.Hour+408*time.Millisecond))

	// The machine was asleep, or the server's clock was set: whatever it takes.
	trip(server.Add(5*time.Hour), 400*time.Millisecond, false)
	want("a slow one counts where the clocks have moved", server.Add(5*time.Hour+200*time.Millisecond))
	for range 12 {
		trip(server.Add(6*time.Hour), time.Second, false)
	}
	want("and one of many", server.Add(6*time.Hour+500*time.Millisecond))
}
