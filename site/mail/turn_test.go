package mail

import (
	"testing"
	"time"
)

func TestTurn(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	for name, c := range map[string]struct {
		q    queue
		want time.Time
	}{
		"nobody else":                           {queue{}, now},
		"room again":                            {queue{delivered: at(-60), planned: at(-60)}, now},
		"full":                                  {queue{delivered: at(-20), planned: at(-20)}, at(40)},
		"others wait":                           {queue{delivered: at(-70), planned: at(-10)}, at(50)},
		"others wait for long":                  {queue{delivered: at(-20), planned: at(400)}, at(460)},
		"all under way: looks again":            {queue{delivered: at(62), planned: at(-61)}, at(60)},
		"its turn":                              {queue{own: now, delivered: at(-60), planned: at(400)}, now},
		"its turn was long ago":                 {queue{own: at(-500), delivered: at(-60), planned: at(400)}, now},
		"its turn, a little early":              {queue{own: now, delivered: at(-59.5), planned: at(400)}, at(0.5)},
		"its turn, but others took its place":   {queue{own: now, delivered: at(-30), planned: at(400)}, at(460)},
		"before its turn, though there is room": {queue{own: at(7), delivered: at(-70), planned: at(400)}, at(7)},
	} {
		if got := c.q.turn(now, time.Minute); !got.Equal(c.want) {
			t.Errorf("%s: in %s, want %s", name, got.Sub(now), c.want.Sub(now))
		}
	}
}
