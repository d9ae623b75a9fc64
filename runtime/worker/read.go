package worker

import (
	"context"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// block is how long a read waits for the first entry. It ends well before the
// lease: a read of a runner that is frozen must not be given anything when
// others have seen to what it left and do not look there again.
func (s *session) block() time.Duration { return min(5*time.Second, s.Lease/2) }

// readLoop pulls entries until ctx ends: those of streams that start runs as
// there are places, and those that only runs wait for as they come.
func (s *session) readLoop(ctx context.Context) {
	if s.Plan.Spec.Suspend {
		s.log.Info("suspended: nothing is read, events wait in their streams")
		<-ctx.Done()
		return
	}
	var wg sync.WaitGroup
	starts := &puller{session: s, reader: s.reader, places: s.gate, streams: s.starts}
	if l := s.Plan.RateLimit; l != nil && l.Key == nil && !l.Drop {
		starts.rate = &store.Rate{Function: s.Plan.Function, Limit: l.Limit, Burst: l.Burst, Period: l.Period}
	}
	if len(s.both) > 0 {
		starts.ahead = newLookahead(s)
		wg.Go(func() { starts.ahead.run(ctx) })
	}
	if len(s.waitOnly) > 0 {
		reader := s.Store.NewReader(s.Plan.Function, s.name)
		context.AfterFunc(ctx, func() { _ = reader.Close() })
		waits := &puller{session: s, reader: reader, places: s.deliveries, streams: s.waitOnly}
		wg.Go(func() { waits.run(ctx) })
	}
	starts.run(ctx)
	wg.Wait()
}

// puller reads entries of some streams: never more than there are places for.
// Only its goroutine uses it.
type puller struct {
	*session
	reader  *store.Reader
	places  *gate
	streams []string // of starts the inbox is the first
	turn    int      // the stream that is asked next, where they are asked one by one
	// ahead is told while the puller is held up; nil: nobody wants to know.
	ahead *lookahead

	// rate is an unkeyed rate limit that delays: a backlog of starts waits in the
	// stream for free, and not parked.
	rate   *store.Rate
	busy   bool // the last read found something
	starts int  // as there were before the last read of events
	wider  int  // how often in a row those took none of them: events that start nothing
}

func (p *puller) run(ctx context.Context) {
	for pause := 50 * time.Millisecond; ctx.Err() == nil; {
		err := p.pull(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			pause = 50 * time.Millisecond
			continue
		}
		p.missed.Store(true)
		p.setHealth(store.Explain(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, 5*time.Second)
	}
}

func (p *puller) pull(ctx context.Context) error {
	n := p.place(ctx)
	if n == 0 {
		return nil
	}
	if p.rate != nil {
		return p.pullRated(ctx, n)
	}
	if n < len(p.streams) {
		// COUNT is per stream: with fewer places than streams, ask one by one.
		if found, err := p.pullFew(ctx, p.streams, n); found > 0 || err != nil {
			return err
		}
	}
	entries, err := p.reader.Read(ctx, p.streams, max(1, n/len(p.streams)), p.block())
	p.dispatch(entries)
	return err
}

// place waits for a place and returns how many there are; 0: ctx has ended.
func (p *puller) place(ctx context.Context) int {
	if p.ahead == nil {
		return p.places.wait(ctx)
	}
	if n := p.places.free(); n > 0 {
		return n
	}
	p.ahead.hold(true)
	defer p.ahead.hold(false)
	return p.places.wait(ctx)
}

// pullFew reads up to n entries of all streams together.
func (p *puller) pullFew(ctx context.Context, streams []string, n int) (found int, err error) {
	for range streams {
		stream := streams[p.turn%len(streams)]
		p.turn++
		entries, err := p.reader.Read(ctx, []string{stream}, n-found, 0)
		if err != nil {
			return found, err
		}
		p.dispatchDecided(ctx, entries)
		if found += len(entries); found >= n {
			break
		}
	}
	return found, nil
}

// widest bounds how many more events are read than there are starts, where most
// of them start nothing: 2 to the power of it.
const widest = 5

// pullRated reads events while there are starts. It takes none: a run does when
// it begins, and what only looked like one takes none at all.
func (p *puller) pullRated(ctx context.Context, n int) error {
	if !p.busy {
		entries, err := p.reader.Read(ctx, p.streams, 1, p.block())
		p.busy = len(entries) > 0
		p.dispatchDecided(ctx, entries)
		return err
	}
	inbox := p.streams[:1]
	if entries, err := p.reader.Read(ctx, inbox, n, 0); err != nil || len(entries) > 0 {
		p.dispatchDecided(ctx, entries)
		return err
	}
	starts, wait, err := p.Store.Starts(ctx, *p.rate)
	if err != nil {
		return err
	}
	if starts == 0 {
		p.starts = 0
		return p.pullInbox(ctx, n, wait)
	}
	if p.wider++; p.starts == 0 || starts < p.starts {
		p.wider = 0
	}
	p.starts = starts
	found, err := p.pullFew(ctx, p.streams[1:], min(n, starts<<min(p.wider, widest)))
	p.busy = found > 0
	return err
}

// pullInbox reads runs that go on, until there may be a start again.
func (p *puller) pullInbox(ctx context.Context, n int, wait time.Duration) error {
	if p.ahead != nil {
		p.ahead.hold(true)
		defer p.ahead.hold(false)
	}
	entries, err := p.reader.Read(ctx, p.streams[:1], n, min(max(wait, time.Millisecond), p.block()))
	p.dispatchDecided(ctx, entries)
	return err
}

// dispatchDecided begins the runs of new entries and, where a rate limit says how
// many are to be read, waits until it is decided which of them begin.
func (p *puller) dispatchDecided(ctx context.Context, entries []store.Entry) {
	if p.rate == nil || len(entries) == 0 {
		p.dispatch(entries)
		return
	}
	var deciding sync.WaitGroup
	p.dispatchAs(entries, false, &deciding)
	decided := make(chan struct{})
	go func() {
		deciding.Wait()
		close(decided)
	}()
	select {
	case <-decided:
	case <-ctx.Done():
	}
}

// dispatch begins the runs of new entries.
func (s *session) dispatch(entries []store.Entry) { s.dispatchAs(entries, false, nil) }

// dispatchAs is dispatch; again says that the runs may have begun before.
// deciding, if there is one, is done when it is decided for all which begin.
func (s *session) dispatchAs(entries []store.Entry, again bool, deciding *sync.WaitGroup) {
	for _, e := range entries {
		work := s.begun.add(e)
		if work == nil {
			continue
		}
		// The place is taken here, before the next read asks for free ones.
		places := s.placesOf(e.Stream)
		if places.tryEnter() {
			work.places = places
		}
		d := delivery{Entry: e, again: again, work: work}
		if deciding != nil {
			deciding.Add(1)
			d.deciding = sync.OnceFunc(deciding.Done)
		}
		s.runs.Add(1)
		s.engine.Routines.Go(func() {
			d.back = work.places == nil && !s.enterSoon(work, places, again) // another runner may have a place for it
			d.release = func() { s.release(d) }
			s.process(d)
		})
	}
}

// placesOf are the places of entries of a stream.
func (s *session) placesOf(stream string) *gate {
	for _, name := range s.waitOnly {
		if name == stream {
			return s.deliveries
		}
	}
	return s.gate
}

// handBackAfter is how long an entry that was read beyond the free places waits
// for one: the share of this runner may have become smaller during the read.
const handBackAfter = 100 * time.Millisecond

// enterSoon takes a place if there is one soon; false when the entry is to be
// handed back. What comes from a dead runner waits for longer: handed back, it
// would be at the end of the inbox, behind all that is newer.
func (s *session) enterSoon(w *work, places *gate, again bool) bool {
	patience := handBackAfter
	if again {
		patience = s.Lease
	}
	ctx, cancel := context.WithTimeout(s.begins, patience)
	defer cancel()
	if !places.enter(ctx) {
		return false
	}
	w.places = places
	return true
}

// release forgets an entry that is dealt with and gives back its place.
func (s *session) release(d delivery) {
	s.begun.remove(d.Entry)
	if d.work.places != nil {
		d.work.places.leave()
	}
	s.runs.Done()
}
