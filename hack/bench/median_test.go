package main

import (
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for name, tc := range map[string]struct {
		values []float64
		want   float64
	}{
		"none":              {nil, 0},
		"one":               {[]float64{7}, 7},
		"odd, unsorted":     {[]float64{9, 1, 5}, 5},
		"even, unsorted":    {[]float64{4, 1, 3, 2}, 2.5},
		"one wild outlier":  {[]float64{10, 11, 9000, 9, 10}, 10},
		"two equal":         {[]float64{3, 3}, 3},
		"negative and zero": {[]float64{0, -4, -2}, -2},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(tc.values)
			if got := median(tc.values); got != tc.want {
				t.Errorf("median(%v) = %v, want %v", tc.values, got, tc.want)
			}
			if !slices.Equal(before, tc.values) {
				t.Errorf("median reordered its argument: %v, was %v", tc.values, before)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100) // 100 … 1
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for name, tc := range map[string]struct {
		values []int
		p      int
		want   int
	}{
		"none":                         {nil, 50, 0},
		"one, p1":                      {[]int{7}, 1, 7},
		"one, p99":                     {[]int{7}, 99, 7},
		"p50 of a hundred":             {hundred, 50, 50},
		"p99 of a hundred":             {hundred, 99, 99},
		"p100 is the largest":          {hundred, 100, 100},
		"p50 of two is the lower":      {[]int{2, 1}, 50, 1},
		"p99 of few is the largest":    {[]int{3, 1, 2}, 99, 3},
		"p50 of three is the middle":   {[]int{30, 10, 20}, 50, 20},
		"p34 of three rounds up":       {[]int{30, 10, 20}, 34, 20},
		"p33 of three stays the least": {[]int{30, 10, 20}, 33, 10},
	} {
		t.Run(name, func(t *testing.T) {
			if got := percentile(tc.values, tc.p); got != tc.want {
				t.Errorf("percentile(%v, %d) = %d, want %d", tc.values, tc.p, got, tc.want)
			}
		})
	}
}
