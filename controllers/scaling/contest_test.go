package scaling_test

import (
	"testing"
	"time"

	"github.com/wildout/wildout/controllers/scaling"
)

func TestContest(t *testing.T) {
	const s, m = time.Second, time.Minute
	for name, steps := range map[string][]struct{ at, wait time.Duration }{
		"once":                  {{0, 0}},
		"twice, long after":     {{0, 0}, {3 * m, 0}, {3*m + s, 59 * s}},
		"an HPA, every seconds": {{0, 0}, {15 * s, 45 * s}, {30 * s, 30 * s}, {60 * s, 0}, {75 * s, 105 * s}, {180 * s, 0}, {195 * s, 225 * s}},
		"for ever": {{0, 0}, {1 * m, 0}, {3 * m, 0}, {7 * m, 0}, {15 * m, 0}, {31 * m, 0}, {63 * m, 0}, {123 * m, 0}, {183 * m, 0},
			{183*m + s, time.Hour - s}},
		"it gives up, and begins anew": {{0, 0}, {1 * m, 0}, {6 * m, 0}, {6*m + s, 59 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			var c scaling.Contest
			for _, step := range steps {
				if got := c.SetBack(begin.Add(step.at)); got != step.wait {
					t.Fatalf("after %s: wait %s, want %s", step.at, got, step.wait)
				}
			}
		})
	}
}
