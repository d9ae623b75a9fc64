package worker

import (
	"context"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/store"
)

// interval is the time between heartbeats.
func (s *session) interval() time.Duration { return s.Lease * 3 / 10 }

// beat says that the runner lives and takes in what it is told.
func (s *session) beat(ctx context.Context, first bool) (store.Beat, error) {
	sent := time.Now()
	patience := s.Lease / 2
	if !first { // whoever hangs here must notice the end of its own lease
		patience = min(patience, max(time.Millisecond, time.Duration(s.lease.Load())-sent.Sub(s.epoch)))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := s.Store.Beat(ctx, s.Plan.Function, s.name, s.Lease, first)
	if err != nil {
		return b, err
	}
	if b.Fenced {
		return b, store.ErrFenced
	}
	// The lease is counted from before the question: it must not outlast the
	// server's idea of it. A tenth is kept back for writes on their way.
	s.lease.Store(int64(sent.Sub(s.epoch) + s.Lease*9/10))
	s.setClock(b.Now, sent, first)
	s.rank.Store(int64(b.Rank))
	s.noteDue(b.NextDue)
	return b, s.hold(ctx, b)
}

// setClock compares the server's clock with the own one. Half the round trip is
// the best guess of when the server read it; a slow answer is a bad guess, and
// counts only when no better one comes for a while.
func (s *session) setClock(server, sent time.Time, first bool) {
	took := time.Since(sent)
	if !first && took > s.tripTime {
		s.tripTime *= 2
		return
	}
	s.tripTime = max(took, time.Millisecond)
	s.skew.Store(int64(server.Sub(sent.Add(took / 2))))
}

// hold states the slots of the unkeyed concurrency limits: each runner has its
// share, so that no run needs to ask.
func (s *session) hold(ctx context.Context, b store.Beat) error {
	state := holding{b.Alive, b.Rank, s.gate.inUse() > s.gate.share()}
	if state == s.held && !state.over && time.Since(s.heldAt) < time.Minute {
		return nil // nothing to say: an idle runner costs Redis little
	}
	granted := -1
	for i, l := range s.Plan.Concurrency {
		if l.Key != nil {
			continue
		}
		share := (l.Limit + b.Alive - 1 - b.Rank) / max(1, b.Alive)
		// First no run may begin beyond the share, then what is in use is stated.
		s.gate.lower(share)
		n, err := s.Store.Hold(ctx, store.Slots{Function: s.Plan.Function, Limit: i + 1, Runner: s.name,
			Want: max(share, s.gate.inUse()), Max: l.Limit, Lease: s.Lease})
		if err != nil {
			return err
		}
		if n != share {
			state.over = true // others still hold what is ours, or we what is theirs: ask again
		}
		n = min(n, share)
		if granted < 0 || n < granted {
			granted = n
		}
	}
	s.gate.grant(granted)
	s.held, s.heldAt = state, time.Now()
	return nil
}

func (s *session) beatLoop(ctx context.Context) {
	wait := s.interval()
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		b, err := s.beat(ctx, false)
		if ctx.Err() != nil {
			return
		}
		wait = s.interval()
		if s.fenced() != nil || b.Fenced {
			s.metrics.fenced.Inc()
			s.log.Warn("the lease ran out: other runners take over the runs of this one; it goes on under a new name", "error", err)
			s.stopRuns(engine.ErrFenced)
			return
		}
		if err == nil {
			err = s.committer.Stats().Trouble
		}
		s.setHealth(err)
		if err != nil {
			wait = s.interval() / 4
			continue
		}
		s.afterBeat(ctx, b)
	}
}

func (s *session) afterBeat(ctx context.Context, b store.Beat) {
	if s.begins.Err() != nil {
		return // it is leaving: nothing new is begun
	}
	if len(b.Dead) > 0 && !s.Plan.Spec.Suspend && s.recovering.CompareAndSwap(false, true) {
		s.side.Go(func() {
			defer s.recovering.Store(false)
			s.recover(ctx, b.Dead)
		})
	}
	if s.missed.Swap(false) {
		s.side.Go(func() { s.reread(ctx) })
	}
	if b.Queues > 0 {
		s.kick(ctx)
	}
	if err := s.admission.Restate(ctx); err != nil {
		s.log.Warn("slots not given back yet; trying again with each heartbeat", "error", err)
	}
	if b.WaitPaths != s.admission.Waits() {
		paths, err := s.Store.WaitPaths(ctx, s.Plan.Function)
		if err == nil {
			err = s.admission.WaitFor(paths)
		}
		if err != nil {
			s.log.Warn("could not learn what runs of a newer version wait for; trying again with the next heartbeat", "error", err)
		}
	}
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

// recover takes over the entries of dead runners, as places are free.
func (s *session) recover(ctx context.Context, dead []string) {
	for _, name := range dead {
		taken := 0
		for _, stream := range s.claims {
			n, err := s.takeOver(ctx, name, stream)
			if err != nil {
				s.log.Warn("could not take over the runs of a dead runner; trying again", "dead", name, "error", err)
				return
			}
			taken += n
		}
		if ctx.Err() != nil {
			return
		}
		s.metrics.recovered.Add(float64(taken))
		if taken > 0 {
			s.log.Info("took over the runs of a dead runner", "dead", name, "runs", taken)
		}
		if _, err := s.Store.Forget(ctx, s.Plan.Function, name, s.claims); err != nil {
			s.log.Warn("could not remove a dead runner", "dead", name, "error", err)
		}
	}
}

// takeOver claims what a dead runner has pending in a stream.
func (s *session) takeOver(ctx context.Context, dead, stream string) (taken int, err error) {
	for after := ""; ; {
		n := s.placesOf(stream).wait(ctx)
		if n == 0 {
			return taken, nil
		}
		entries, err := s.Store.Claim(ctx, s.Plan.Function, s.name, dead, stream, after, s.Lease, min(n, 64))
		if err != nil {
			s.missed.Store(true)
			return taken, err
		}
		if len(entries) == 0 {
			return taken, nil
		}
		after = entries[len(entries)-1].ID
		taken += len(entries)
		s.dispatch(entries)
	}
}

// noteDue makes the timer loop look at a time, if it is earlier than what it
// waits for.
func (s *session) noteDue(at time.Time) {
	if at.IsZero() {
		return
	}
	ms := at.UnixMilli()
	for {
		have := s.due.Load()
		if have != 0 && have <= ms {
			return
		}
		if s.due.CompareAndSwap(have, ms) {
			select {
			case s.dueChanged <- struct{}{}:
			default:
			}
			return
		}
	}
}

// timerLoop puts runs back whose time has come.
func (s *session) timerLoop(ctx context.Context) {
	if s.Plan.Spec.Suspend {
		return
	}
	const most = 256
	for ctx.Err() == nil {
		wait := time.Hour
		if ms := s.due.Load(); ms != 0 {
			wait = time.UnixMilli(ms).Sub(s.now())
		}
		if wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-s.dueChanged:
				timer.Stop()
				continue
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
		s.due.Store(0)
		fired, next, _, err := s.Store.Fire(ctx, s.Plan.Function, most)
		if err != nil {
			s.noteDue(s.now().Add(time.Second))
			continue
		}
		if fired == most {
			s.noteDue(s.now())
			continue
		}
		s.noteDue(next)
	}
}

// tidyLoop bounds what the function keeps in Redis. One runner does it: the
// first of the list.
func (s *session) tidyLoop(ctx context.Context) {
	const maxHistoryBytes = 16 << 20
	for sleep(ctx, time.Minute) {
		if s.rank.Load() != 0 {
			continue
		}
		if err := s.Store.AdoptStrays(ctx, s.Plan.Function, s.claims); err != nil {
			s.log.Warn("could not look for consumers without a heartbeat", "error", err)
		}
		if err := s.Store.TidyCancels(ctx, s.Plan.Function); err != nil {
			s.log.Warn("could not look after requests to cancel runs", "error", err)
		}
		if err := s.Store.TrimHistory(ctx, s.Plan.Function, maxHistoryBytes); err != nil {
			s.log.Warn("could not shorten the history", "error", err)
		}
		for _, stream := range s.events {
			eventType := s.Store.Keys().StreamType(stream)
			period, size, err := s.Store.Retention(ctx, eventType)
			if err == nil {
				err = s.Store.Trim(ctx, eventType, period, size)
			}
			if err != nil {
				s.log.Warn("could not shorten a stream to its retention", "stream", stream, "error", err)
			}
		}
	}
}

// sleep waits; false means that ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
