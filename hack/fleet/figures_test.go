package main

import (
	"slices"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for name, test := range map[string]struct {
		of      []time.Duration
		p, want int
	}{
		"half of many": {hundred, 50, 50},
		"most of many": {hundred, 99, 99},
		"one":          {hundred[:1], 99, 1},
		"half of two":  {hundred[:2], 50, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := percentile(test.of, test.p); int(got) != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	got := differences(map[string]string{"same": "1", "changed": "1", "gone": "1"}, map[string]string{"same": "1", "changed": "2", "new": "1"})
	if want := []string{"changed", "gone", "new"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCounted(t *testing.T) {
	c := calls{{"get", "pods"}: 1, {"apply", "configmaps"}: 30, {"get", ""}: 2}
	if got, want := counted(c), "33 in all, 30 apply configmaps, 2 get, 1 get pods"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := rates(calls{{"get", "pods"}: 5}, 10*time.Second), "0.50/s in all, 0.50/s get pods"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
