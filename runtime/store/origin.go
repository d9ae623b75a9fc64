package store

import "time"

// Origin is where a function begins to read a stream on which no group of it
// was before. Where one stood counts for more, for as long as there is the stream.
type Origin struct {
	// Beginning: with the oldest entry that is there.
	Beginning bool
	// At: with what was published since then; zero: since the function read the
	// event type.
	At time.Time
	// Created is when the function was made, and with it all that it reads but
	// what Added names: event types that it came to read later, and since when. Zero,
	// or in the future: now, by the clock of the server.
	Created time.Time
	Added   map[string]time.Time
}

// FromBeginning is the Origin that misses nothing that is retained.
var FromBeginning = Origin{Beginning: true}

// Of is where the stream of an event type is begun with, in ms since 1970; "":
// now. Whole seconds count.
func (o Origin) Of(eventType string) any {
	at := o.At
	if at.IsZero() {
		at = o.Created
		if added, later := o.Added[eventType]; later {
			at = added
		}
	}
	switch {
	case o.Beginning:
		return 0
	case at.IsZero():
		return ""
	}
	return max(0, at.Unix()) * 1000
}
