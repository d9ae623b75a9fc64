package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/store"
)

// lookahead tells waiting runs of events that the function has not read, since
// its limits hold up what they start. It is there for time alone: what it
// delivers is delivered again when it is read, which changes nothing. So it keeps no
// position in Redis, no group and no acknowledgement, and costs nothing while
// the function keeps up.
type lookahead struct {
	*self
	store     positions
	lease     *lease
	streams   *streams
	admission *admission.Admission
	reader    Reader
	held      atomic.Bool   // the puller writes it
	wake      chan struct{} // held has become true

	// Only the goroutine of run uses what follows.
	positions map[string]string // by stream: what was looked at last
}

const (
	lookCount = 100         // events of a stream at once
	lookWidth = 32          // of those, how many are delivered at the same time
	lookBlock = time.Second // for the first new event
	lookPause = time.Second // after a failure, or while another runner looks
)

func newLookahead(s *session) *lookahead {
	return &lookahead{self: s.self, store: s.Store, lease: s.lease, streams: s.streams, admission: s.processor.admission,
		wake: make(chan struct{}, 1), positions: map[string]string{}}
}

// hold says whether the puller is held up.
func (l *lookahead) hold(held bool) {
	l.held.Store(held)
	if !held {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run looks ahead whenever the puller is held up, until ctx ends.
func (l *lookahead) run(ctx context.Context) {
	l.reader = l.Store.NewReader(l.Plan.Function, l.name, l.origin())
	defer l.reader.Close()
	stop := context.AfterFunc(ctx, func() { _ = l.reader.Close() })
	defer stop()
	fresh := true // the group may have read beyond the positions
	for ctx.Err() == nil {
		if !l.held.Load() {
			fresh = true
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
			continue
		}
		if l.lease.rank.Load() != 0 || len(l.streams.now().both) == 0 { // one runner is enough: the first of the list
			sleep(ctx, lookPause)
			continue
		}
		err := l.look(ctx, fresh)
		fresh = false
		if err != nil && ctx.Err() == nil {
			fresh = true
			l.log.Warn("could not look ahead for events that runs wait for; they are told when the events are read", "error", err)
			sleep(ctx, lookPause)
		}
	}
}

// look delivers what comes next of each stream.
func (l *lookahead) look(ctx context.Context, fresh bool) error {
	if fresh {
		read, err := l.store.ReadUpTo(ctx, l.Plan.Function, l.streams.now().both)
		if err != nil {
			return err
		}
		for stream, entry := range read {
			if store.CompareEntries(entry, l.positions[stream]) > 0 {
				l.positions[stream] = entry
			}
		}
	}
	entries, err := l.reader.After(ctx, l.positions, lookCount, lookBlock)
	if err != nil {
		return err
	}
	if err := l.deliver(entries); err != nil {
		return err
	}
	for _, e := range entries {
		l.positions[e.Stream] = e.ID
	}
	return nil
}

// deliver tells waiting runs of events, several at a time.
func (l *lookahead) deliver(entries []store.Entry) error {
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	width := make(chan struct{}, lookWidth)
	for _, e := range entries {
		width <- struct{}{}
		wg.Go(func() {
			defer func() { <-width }()
			ev, err := e.Event()
			if err != nil {
				return // who reads it tells
			}
			err = l.admission.Deliver(background, &ev, e.ID, store.RunID(l.Plan.Function, e.Type, e.ID))
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
