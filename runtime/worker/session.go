package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/store/runs"
)

// self is who a runner is, under one name. All its parts know it; it does not
// change.
type self struct {
	*Worker
	name string
	log  *slog.Logger
}

// session is a runner under one name: its parts, each of which owns its state.
// Fenced, it ends, and the worker begins another one.
type session struct {
	*self
	processor *processor
	lease     *lease
	streams   *streams
	shares    *shares
	recoverer *recoverer
	waker     *waker
	reader    Reader
}

func newSession(w *Worker) *session {
	var tail [4]byte
	_, _ = rand.Read(tail[:]) // never fails
	me := &self{Worker: w, name: w.Name + "-" + hex.EncodeToString(tail[:])}
	me.log = w.Logger.With("runner", me.name)
	clock := newClock(w.Now)
	s := &session{self: me}
	s.lease = &lease{self: me, store: w.Store, clock: clock, soon: make(chan struct{}, 1)}
	s.streams = &streams{self: me, store: w.Store, changed: make(chan struct{}, 1)}
	s.waker = newWaker(me, clock)
	s.processor = newProcessor(me, s.lease, s.streams, s.waker)
	s.streams.admission = s.processor.admission
	s.shares = &shares{self: me, store: w.Store, places: s.processor.places, clock: clock}
	s.recoverer = &recoverer{self: me, store: w.Store, streams: s.streams, processor: s.processor}
	return s
}

// open makes the function known, its groups, and the first heartbeat.
func (s *session) open(ctx context.Context) error {
	f := s.Plan.Function
	if err := s.streams.open(ctx); err != nil {
		return err
	}
	spec, err := json.Marshal(s.Plan.Spec)
	if err != nil {
		return fmt.Errorf("encode the spec of %s: %w", f, err)
	}
	if err := s.Store.SavePlan(ctx, f, s.Plan.Hash, spec); err != nil {
		return err
	}
	fresh, err := s.streams.register(ctx)
	if err != nil {
		return err
	}
	b, err := s.lease.beat(ctx, true)
	if err != nil {
		return err
	}
	s.waker.note(b.NextDue)
	if err := s.shares.state(ctx, b); err != nil {
		return err
	}
	if fresh && b.Alive > 1 {
		// Runners of an older version learn the new paths with their next
		// heartbeat; look-backs wait until they have.
		s.processor.pathsSince.Store(s.lease.clock.now().Add(s.lease.interval() + time.Second).UnixMilli())
	}
	return nil
}

// run works until ctx ends or the lease has run out.
func (s *session) run(ctx context.Context) error {
	s.processor.open()
	s.reader = s.Store.NewReader(s.Plan.Function, s.name, s.origin())
	loops, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, loop := range s.loops() {
		wg.Go(func() { loop(loops) })
	}
	var err error
	select {
	case <-ctx.Done():
	case <-s.processor.runs.Done():
		err = context.Cause(s.processor.runs)
	}
	stop()
	_ = s.reader.Close()
	wg.Wait()
	s.recoverer.side.Wait()
	s.drain()
	s.processor.close()
	return err
}

// loops are what goes on side by side until the runner leaves.
func (s *session) loops() []func(context.Context) {
	tidier := &tidier{self: s.self, store: s.Store, lease: s.lease, streams: s.streams}
	loops := []func(context.Context){s.keepLease, s.processor.watchCancels, tidier.run}
	if s.Plan.Spec.Suspend {
		s.log.Info("suspended: nothing is read, events wait in their streams")
		return loops
	}
	ahead := newLookahead(s)
	starts := &puller{self: s.self, store: s.Store, processor: s.processor, recoverer: s.recoverer, reader: s.reader, places: s.processor.places,
		streams: func() []string { return s.streams.now().starts }, ahead: ahead}
	if t := s.Plan.Throttle; t != nil && t.Key == nil {
		starts.throttle = &runs.Rate{Function: s.Plan.Function, Limit: t.Limit, Burst: t.Burst, Period: t.Period, Sliding: t.Sliding}
	}
	if s.shares.any() {
		loops = append(loops, s.awaitShare)
	}
	return append(loops, s.waker.run, s.waker.runSchedules, ahead.run, starts.run, s.readWaits)
}

// readWaits reads what only runs wait for.
func (s *session) readWaits(ctx context.Context) {
	reader := s.Store.NewReader(s.Plan.Function, s.name, s.origin())
	defer reader.Close()
	stop := context.AfterFunc(ctx, func() { _ = reader.Close() })
	defer stop()
	waits := &puller{self: s.self, store: s.Store, processor: s.processor, recoverer: s.recoverer, reader: reader, places: s.processor.deliveries,
		streams: func() []string { return s.streams.now().waitOnly }, changed: s.streams.changed}
	waits.run(ctx)
}

// shareBlock is how long awaitShare waits in one command: an idle runner asks
// Redis for next to nothing.
const shareBlock = 30 * time.Second

// awaitShare beats at once when another runner has left, and given back its share
// of a limit: a successor does not wait for its next heartbeat.
func (s *session) awaitShare(ctx context.Context) {
	reader := s.Store.NewReader(s.Plan.Function, s.name, s.origin())
	defer reader.Close()
	stop := context.AfterFunc(ctx, func() { _ = reader.Close() })
	defer stop()
	left := s.Store.Keys().Left(s.Plan.Function)
	position := "0-0"
	for ctx.Err() == nil {
		entries, err := reader.After(ctx, map[string]string{left: position}, 1, shareBlock)
		if err != nil {
			sleep(ctx, lookPause)
			continue
		}
		for _, e := range entries {
			position = e.ID
			select {
			case s.lease.soon <- struct{}{}:
			default:
			}
		}
	}
}

// keepLease beats until ctx ends or the lease has run out.
func (s *session) keepLease(ctx context.Context) {
	s.lease.keep(ctx, s.heard, func(err error) {
		s.metrics.fenced.Inc()
		s.log.Warn("the lease ran out: other runners take over the runs of this one; it goes on under a new name", "error", err)
		s.processor.stop(engine.ErrFenced)
	})
}

// heard takes in what a heartbeat has told.
func (s *session) heard(ctx context.Context, b runs.Beat) error {
	s.waker.note(b.NextDue)
	if err := s.shares.state(ctx, b); err != nil {
		return err
	}
	if err := s.processor.committer.Stats().Trouble; err != nil {
		return err
	}
	select {
	case <-s.processor.begins.Done(): // it is leaving: nothing new is begun
		return nil
	default:
	}
	// First what there is to read: a dead runner of a newer version may have left
	// something where this one has never looked, and would be forgotten with it.
	if err := s.streams.learn(ctx, b); err != nil {
		return err
	}
	s.recoverer.look(ctx, &b)
	if b.Queues > 0 {
		s.kick(ctx)
	}
	if err := s.processor.admission.Restate(ctx); err != nil {
		s.log.Warn("slots not given back yet; trying again with each heartbeat", "error", err)
	}
	return nil
}

// kick puts queued runs back where there is room: a holder may have died.
func (s *session) kick(ctx context.Context) {
	queued, err := s.Store.Queued(ctx, s.Plan.Function, 50)
	if err != nil {
		return // the next heartbeat tries again
	}
	for _, q := range queued {
		if q.Limit < 1 || q.Limit > len(s.Plan.Concurrency) {
			q.Max = 1 // the limit is gone from the function: let them out one by one
		} else {
			q.Max = s.Plan.Concurrency[q.Limit-1].Limit
		}
		q.Runner, q.Lease = s.name, s.Lease
		if err := s.Store.Release(ctx, q); err != nil {
			s.log.Warn("could not look after queued runs", "error", err)
			return
		}
	}
}
