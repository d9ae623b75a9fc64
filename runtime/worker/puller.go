package worker

import (
	"context"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// puller reads entries of some streams: never more than there are places for.
// Only its goroutine uses it.
type puller struct {
	*self
	store     starts
	processor *processor
	recoverer *recoverer
	reader    Reader
	places    *gate
	// streams are what is to be read; of starts the inbox is the first.
	streams func() []string
	changed <-chan struct{} // gets a value when streams may be others
	turn    int             // the stream that is asked next, where they are asked one by one
	// ahead is told while the puller is held up; nil: nobody wants to know.
	ahead *lookahead

	// throttle is an unkeyed one: a backlog of starts waits in the
	// stream for free, and not parked.
	throttle *runs.Rate
	busy     bool // the last read found something
	starts   int  // as there were before the last read of events
	wider    int  // how often in a row those took none of them: events that start nothing
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
		p.recoverer.missed.Store(true)
		p.setHealth(store.Explain(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// block is how long a read waits for the first entry. It ends well before the
// lease: a read of a runner that is frozen must not be given anything when
// others have seen to what it left and do not look there again.
func (p *puller) block() time.Duration { return min(5*time.Second, p.Lease/2) }

func (p *puller) pull(ctx context.Context) error {
	streams := p.streams()
	if len(streams) == 0 {
		select {
		case <-p.changed:
		case <-ctx.Done():
		}
		return nil
	}
	n := p.place(ctx)
	if n == 0 {
		return nil
	}
	if p.throttle != nil {
		return p.pullThrottled(ctx, streams, n)
	}
	if n < len(streams) {
		// COUNT is per stream: with fewer places than streams, ask one by one.
		if found, err := p.pullFew(ctx, streams, n); found > 0 || err != nil {
			return err
		}
	}
	entries, err := p.reader.Read(ctx, streams, max(1, n/len(streams)), p.block())
	p.processor.take(entries, false, nil)
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
		p.takeDecided(ctx, entries)
		if found += len(entries); found >= n {
			break
		}
	}
	return found, nil
}

// widest bounds how many more events are read than there are starts, where most
// of them start nothing: 2 to the power of it.
const widest = 5

// pullThrottled reads events while there are starts. It takes none: a run does when
// it begins, and what only looked like one takes none at all.
func (p *puller) pullThrottled(ctx context.Context, streams []string, n int) error {
	if !p.busy {
		entries, err := p.reader.Read(ctx, streams, 1, p.block())
		p.busy = len(entries) > 0
		p.takeDecided(ctx, entries)
		return err
	}
	inbox := streams[:1]
	if entries, err := p.reader.Read(ctx, inbox, n, 0); err != nil || len(entries) > 0 {
		p.takeDecided(ctx, entries)
		return err
	}
	starts, wait, err := p.store.Starts(ctx, *p.throttle)
	if err != nil {
		return err
	}
	if starts == 0 {
		p.starts = 0
		return p.pullInbox(ctx, inbox, n, wait)
	}
	if p.wider++; p.starts == 0 || starts < p.starts {
		p.wider = 0
	}
	p.starts = starts
	found, err := p.pullFew(ctx, streams[1:], min(n, starts<<min(p.wider, widest)))
	p.busy = found > 0
	return err
}

// pullInbox reads runs that go on, until there may be a start again.
func (p *puller) pullInbox(ctx context.Context, inbox []string, n int, wait time.Duration) error {
	if p.ahead != nil {
		p.ahead.hold(true)
		defer p.ahead.hold(false)
	}
	entries, err := p.reader.Read(ctx, inbox, n, min(max(wait, time.Millisecond), p.block()))
	p.takeDecided(ctx, entries)
	return err
}

// takeDecided begins the runs of new entries and, where a throttle says how
// many are to be read, waits until it is decided which of them begin.
func (p *puller) takeDecided(ctx context.Context, entries []store.Entry) {
	if p.throttle == nil || len(entries) == 0 {
		p.processor.take(entries, false, nil)
		return
	}
	var deciding sync.WaitGroup
	p.processor.take(entries, false, &deciding)
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
