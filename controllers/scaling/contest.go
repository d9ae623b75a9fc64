package scaling

import "time"

// The pauses after which the runners that somebody else has set are set back:
// each is twice as long as the one before.
const (
	firstPause   = time.Minute
	longestPause = time.Hour
)

// Contest is about the number of runners that somebody else keeps changing. One
// of the two is wrong about whose it is: runners must not start and end all the
// time until a person has seen it. The zero Contest has not begun.
type Contest struct {
	times int
	last  time.Time
}

// SetBack says whether to set back, now, what somebody else has set: at once
// the first time, then with growing pauses. If not, wait is how long it is to
// be left.
func (c *Contest) SetBack(now time.Time) (wait time.Duration) {
	pause := c.pause()
	since := now.Sub(c.last)
	if c.times > 0 && since < pause {
		return pause - since
	}
	if since > 2*pause { // the other one had given up
		c.times = 0
	}
	c.times++
	c.last = now
	return 0
}

func (c *Contest) pause() time.Duration {
	pause := firstPause
	for range c.times - 1 {
		pause = min(2*pause, longestPause)
	}
	return pause
}
