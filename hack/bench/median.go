package main

import (
	"cmp"
	"slices"
)

// median returns the middle of the values, or the mean of the two in the
// middle; 0 of none. It leaves values as they are.
func median[T ~int | ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return sorted[mid-1] + (sorted[mid]-sorted[mid-1])/2
}

// percentile returns the smallest value that at least p percent of the values
// do not exceed (the nearest rank); 0 of none. p is in (0, 100].
func percentile[T cmp.Ordered](values []T, p int) T {
	var none T
	if len(values) == 0 {
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := (p*len(sorted) + 99) / 100 // rounded up, counted from 1
	return sorted[max(rank, 1)-1]
}
