package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/store/runs"
)

// How long is waited for what should be there at once.
const (
	stopPatience  = 5 * time.Second // runs that were asked to stop
	leavePatience = 5 * time.Second // the last words to Redis
)

// drain ends the runs of this runner: within the grace period by themselves,
// after it by parking them, without costing an attempt.
func (s *session) drain() {
	s.processor.noMore()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.processor.work.Wait()
	}()
	keep, stop := context.WithCancel(context.Background())
	defer stop()
	var beats sync.WaitGroup
	if s.processor.runs.Err() == nil {
		beats.Go(func() { s.keepLease(keep) }) // the lease must outlast the grace period
		beats.Go(func() { s.processor.watchCancels(keep) })
	}
	select {
	case <-ended:
	case <-time.After(s.Grace):
	case <-s.processor.runs.Done():
	}
	s.processor.stop(engine.ErrInterrupted)
	select {
	case <-ended:
	case <-time.After(stopPatience):
		s.log.Warn("runs are left to other runners: they did not stop in time")
	}
	stop()
	beats.Wait()
	if errors.Is(context.Cause(s.processor.runs), engine.ErrFenced) {
		s.abandon()
		return
	}
	s.leave()
}

// abandon makes the runner known as dead, though others may have forgotten it
// already: a late read may have brought it entries since.
func (s *session) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), s.Lease)
	defer cancel()
	if err := s.Store.Expire(ctx, s.Plan.Function, s.name); err != nil {
		s.log.Warn("could not leave in order; others clean up in a minute", "error", err)
	}
}

// leave hands back what was read and not begun, and takes the runner off the
// list.
func (s *session) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	claims := s.streams.now().claims
	for _, stream := range claims {
		if err := s.handBack(ctx, stream); err != nil {
			s.log.Warn("could not hand back what was not begun; others take it once the lease is over", "error", err)
			return
		}
	}
	err := s.processor.admission.LeaveAll(ctx)
	if err == nil {
		err = s.shares.leave(ctx)
	}
	if err != nil {
		s.log.Warn("could not give back slots; they are free once the lease is over", "error", err)
	}
	gone, err := s.Store.Forget(ctx, s.Plan.Function, s.name, claims)
	if err == nil && !gone {
		err = s.Store.Expire(ctx, s.Plan.Function, s.name)
	}
	if err == nil && s.shares.any() {
		err = s.Store.TellLeft(ctx, s.Plan.Function, s.name)
	}
	if err != nil {
		s.log.Warn("could not leave in order; others clean up once the lease is over", "error", err)
	}
}

// handBack parks what this runner has of a stream for others.
func (s *session) handBack(ctx context.Context, stream string) error {
	const most = 10_000 // more than a runner has places
	c := runs.Claim{Function: s.Plan.Function, Runner: s.name, Dead: s.name, Stream: stream, Lease: s.Lease, Most: most}
	entries, err := s.Store.Claim(ctx, c)
	if err != nil {
		return err
	}
	for _, e := range entries {
		s.processor.process(delivery{Entry: e, back: true, release: func() {}})
	}
	return nil
}
