package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// take begins the runs of entries that this runner was given; again says that
// it may have begun them before. deciding, if there is one, is done when it is
// decided for all which begin.
func (p *processor) take(entries []store.Entry, again bool, deciding *sync.WaitGroup) {
	for _, e := range entries {
		work := p.begun.add(e)
		if work == nil {
			continue
		}
		// The place is taken here, before the next read asks for free ones.
		places := p.placesOf(e.Stream)
		if places.tryEnter() {
			work.places = places
		}
		if e.Deliveries > p.often() {
			work.suspect = true
			p.suspects.Add(1)
		}
		d := delivery{Entry: e, again: again, work: work}
		if deciding != nil {
			deciding.Add(1)
			d.deciding = sync.OnceFunc(deciding.Done)
		}
		p.work.Add(1)
		p.engine.Routines.Go(func() {
			d.back = work.places == nil && !p.enterSoon(work, places, again) // another runner may have a place for it
			d.release = func() { p.release(d) }
			p.process(d)
		})
	}
}

// placesOf are the places of entries of a stream.
func (p *processor) placesOf(stream string) *gate {
	if slices.Contains(p.streams.now().waitOnly, stream) {
		return p.deliveries
	}
	return p.places
}

// handBackAfter is how long an entry that was read beyond the free places waits
// for one: the share of this runner may have become smaller during the read.
const handBackAfter = 100 * time.Millisecond

// enterSoon takes a place if there is one soon; false when the entry is to be
// handed back. What comes from a dead runner waits for longer: handed back, it
// would be at the end of the inbox, behind all that is newer.
func (p *processor) enterSoon(w *work, places *gate, again bool) bool {
	patience := handBackAfter
	if again {
		patience = p.Lease
	}
	ctx, cancel := context.WithTimeout(p.begins, patience)
	defer cancel()
	if !places.enter(ctx) {
		return false
	}
	w.places = places
	return true
}

// release forgets an entry that is dealt with and gives back its place.
func (p *processor) release(d delivery) {
	p.begun.remove(d.Entry)
	if d.work.places != nil {
		d.work.places.leave()
	}
	if d.work.suspect {
		p.suspects.Add(-1)
	}
	p.work.Done()
}
