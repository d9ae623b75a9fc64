package security

import "time"

// burst is a window that holds enough entries to be alarming.
type burst struct {
	// end is the first moment at which the window is full enough.
	end time.Time
	// count is the most entries that a window with the entry in question holds.
	count int
}

// findBurst looks for windows that end at an entry, contain the entry at at,
// and hold threshold entries or more. times are sorted and include at.
//
// It looks at windows that end later than at, too. Entries of one moment are
// stored and judged by several runs in any order; only the one that looks last
// is certain to see them all, and it need not be the one with the latest time.
// If each looked back only, a burst could pass with nobody raising the alert.
func findBurst(times []time.Time, at time.Time, threshold int, window time.Duration) (burst, bool) {
	var found burst
	first := 0 // the earliest entry in the window that ends at times[last]
	for last, end := range times {
		for !times[first].After(end.Add(-window)) {
			first++
		}
		if end.Before(at) || (last+1 < len(times) && times[last+1].Equal(end)) {
			continue // does not contain at; or more entries end at the same moment
		}
		if !end.Add(-window).Before(at) {
			break
		}
		count := last - first + 1
		if count < threshold {
			continue
		}
		if found.count == 0 {
			found.end = end
		}
		found.count = max(found.count, count)
	}
	return found, found.count > 0
}
