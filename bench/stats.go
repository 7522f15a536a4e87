package main

import (
	"cmp"
	"math"
	"slices"
)

// median returns the middle of values, or the mean of the middle two; NaN if
// there are none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// percentile returns the smallest of the sorted values that at least the share
// p, from 0 to 1, of them do not exceed (nearest rank). sorted must not be empty.
func percentile[T cmp.Ordered](sorted []T, p float64) T {
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
