package worker

import (
	"context"
	"time"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// block is how long a read waits for the first entry. It ends well before the
// lease: a read of a runner that is frozen must not be given anything when
// others have seen to what it left and do not look there again.
func (s *session) block() time.Duration { return min(5*time.Second, s.Lease/2) }

// readLoop pulls entries: never more than there are free places for.
func (s *session) readLoop(ctx context.Context) {
	if s.Plan.Spec.Suspend {
		s.log.Info("suspended: nothing is read, events wait in their streams")
		<-ctx.Done()
		return
	}
	r := &puller{session: s}
	if l := s.Plan.RateLimit; l != nil && l.Key == nil && !l.Drop {
		r.rate = s.rateOf(l, "")
	}
	for pause := 50 * time.Millisecond; ctx.Err() == nil; {
		err := r.pull(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			pause = 50 * time.Millisecond
			continue
		}
		s.missed.Store(true)
		s.setHealth(store.Explain(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// puller is the state of the read loop.
type puller struct {
	*session
	// rate is the unkeyed rate limit with Delay; its starts are taken before
	// the read, so that a backlog waits in the stream for free.
	rate *runs.Rate
	busy bool // the last read found something
	turn int
}

func (p *puller) pull(ctx context.Context) error {
	n := p.gate.wait(ctx)
	if n == 0 {
		return nil
	}
	if p.rate != nil {
		return p.pullRated(ctx, n)
	}
	if n < len(p.streams) {
		// COUNT is per stream: with fewer places than streams, ask one by one.
		if found, err := p.pullFew(ctx, n); found || err != nil {
			return err
		}
	}
	entries, err := p.reader.Read(ctx, p.streams, max(1, n/len(p.streams)), p.block())
	p.dispatch(entries, true)
	return err
}

func (p *puller) pullFew(ctx context.Context, n int) (found bool, err error) {
	for range p.streams {
		stream := p.streams[p.turn%len(p.streams)]
		p.turn++
		entries, err := p.reader.Read(ctx, []string{stream}, n, 0)
		if err != nil {
			return found, err
		}
		p.dispatch(entries, true)
		found = found || len(entries) > 0
		if n -= len(entries); n <= 0 {
			break
		}
	}
	return found, nil
}

// pullRated reads events only for starts that it has. An idle runner takes none
// in advance: it reads one entry and takes its start then.
func (p *puller) pullRated(ctx context.Context, n int) error {
	if !p.busy {
		entries, err := p.reader.Read(ctx, p.streams, 1, p.block())
		p.busy = len(entries) > 0
		p.dispatch(entries, false)
		return err
	}
	if entries, err := p.reader.Read(ctx, p.streams[:1], n, 0); err != nil || len(entries) > 0 {
		p.dispatch(entries, false)
		return err
	}
	got, wait, err := p.Store.TakeRate(ctx, *p.rate, n)
	if err != nil {
		return err
	}
	if got == 0 {
		entries, err := p.reader.Read(ctx, p.streams[:1], n, min(max(wait, time.Millisecond), p.block()))
		p.dispatch(entries, false)
		return err
	}
	used := 0
	for range p.events {
		stream := p.events[p.turn%len(p.events)]
		p.turn++
		entries, err := p.reader.Read(ctx, []string{stream}, got-used, 0)
		if err != nil {
			return err
		}
		p.dispatch(entries, true)
		if used += len(entries); used == got {
			break
		}
	}
	p.busy = used > 0
	if used < got {
		return p.Store.ReturnRate(ctx, *p.rate, got-used)
	}
	return nil
}

// dispatch begins the runs of new entries. rated says that the unkeyed rate
// limit was passed.
func (s *session) dispatch(entries []store.Entry, rated bool) { s.dispatchAs(entries, rated, false) }

// dispatchAs is dispatch; again says that the runs may have begun before.
func (s *session) dispatchAs(entries []store.Entry, rated, again bool) {
	for _, e := range entries {
		work := s.begun.add(e)
		if work == nil {
			continue
		}
		// The place is taken here, before the next read asks for free ones.
		entered := s.gate.tryEnter()
		s.runs.Add(1)
		s.engine.Routines.Go(func() {
			d := delivery{Entry: e, rated: rated && e.Type != "", again: again, work: work}
			d.back = !entered && !s.enterSoon(again) // another runner may have a place for it
			d.release = func() { s.release(d) }
			s.process(d)
		})
	}
}

// handBackAfter is how long an entry that was read beyond the free places waits
// for one: the share of this runner may have become smaller during the read.
const handBackAfter = 100 * time.Millisecond

// enterSoon takes a place if there is one soon; false when the entry is to be
// handed back. What comes from a dead runner waits for longer: handed back, it
// would be at the end of the inbox, behind all that is newer.
func (s *session) enterSoon(again bool) bool {
	patience := handBackAfter
	if again {
		patience = s.Lease
	}
	ctx, cancel := context.WithTimeout(s.begins, patience)
	defer cancel()
	return s.gate.enter(ctx)
}

// release forgets an entry that is dealt with and gives back its place.
func (s *session) release(d delivery) {
	s.begun.remove(d.Entry)
	if !d.back {
		s.gate.leave()
	}
	s.runs.Done()
}

func (s *session) rateOf(l *plan.RateLimit, value string) *runs.Rate {
	return &runs.Rate{Function: s.Plan.Function, Value: value, Limit: l.Limit, Burst: l.Burst, Period: l.Period}
}
