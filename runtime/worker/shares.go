package worker

import (
	"context"
	"time"

	"github.com/wildout/wildout/runtime/store/runs"
)

// shares states the slots of the unkeyed concurrency limits: each runner has its
// share, so that no run needs to ask. Only the heartbeat uses it.
type shares struct {
	*self
	store  shared
	places *gate
	last   shareState
	at     time.Duration // when it was stated, by the monotonic clock
	clock  *clock
}

// shareState is what the shares depend on.
type shareState struct {
	alive, rank int
	over        bool // more is in use, or less is held, than the share
}

// state states the shares, where there is something to say.
func (s *shares) state(ctx context.Context, b runs.Beat) error {
	state := shareState{b.Alive, b.Rank, s.places.inUse() > s.places.share()}
	if state == s.last && !state.over && s.clock.elapsed()-s.at < time.Minute {
		return nil // nothing to say: an idle runner costs Redis little
	}
	granted := -1
	for i, l := range s.Plan.Concurrency {
		if l.Key != nil {
			continue
		}
		share := (l.Limit + b.Alive - 1 - b.Rank) / max(1, b.Alive)
		// First no run may begin beyond the share, then what is in use is stated.
		s.places.lower(share)
		n, err := s.store.Hold(ctx, runs.Slots{Function: s.Plan.Function, Limit: i + 1, Runner: s.name,
			Want: max(share, s.places.inUse()), Max: l.Limit, Lease: s.Lease})
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
	s.places.grant(granted)
	s.last = state
	s.at = s.clock.elapsed()
	return nil
}

// any reports whether there is a limit that runners divide among them.
func (s *shares) any() bool {
	for _, l := range s.Plan.Concurrency {
		if l.Key == nil {
			return true
		}
	}
	return false
}

// leave gives the shares back.
func (s *shares) leave(ctx context.Context) error {
	for i, l := range s.Plan.Concurrency {
		if l.Key != nil {
			continue
		}
		none := runs.Slots{Function: s.Plan.Function, Limit: i + 1, Runner: s.name, Max: l.Limit, Lease: s.Lease}
		if _, err := s.store.Hold(ctx, none); err != nil {
			return err
		}
	}
	return nil
}
